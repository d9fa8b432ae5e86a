import type { Size2 } from "../../src/graph/layers.ts";
import type { OpOf, Window } from "../../src/graph/ops.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { type NdArray, offsetOf, zeros } from "./nd-array.ts";

export function conv(config: OpOf<"conv">, [x, w, bias]: readonly NdArray[]): NdArray[] {
  const y = zeros(convShape(x!.shape, w!.shape, config));
  forEachProduct(x!.shape, w!.shape, config, (inX, inW, inY) => {
    y.data[inY]! += x!.data[inX]! * w!.data[inW]!;
  });
  if (bias) {
    const [, channels, height, width] = y.shape as ImageLike;
    y.data.forEach((_, offset) => {
      y.data[offset]! += bias.data[Math.floor(offset / (height * width)) % channels]!;
    });
  }
  return [y];
}

/** Each product x·w that the convolution adds to y hands dy·w back to x. */
export function convInputGradient(config: OpOf<"convInputGradient">, [dy, w]: readonly NdArray[]): NdArray[] {
  const dx = zeros(config.inputShape);
  forEachProduct(config.inputShape, w!.shape, config, (inX, inW, inY) => {
    dx.data[inX]! += dy!.data[inY]! * w!.data[inW]!;
  });
  return [dx];
}

/** Each product x·w that the convolution adds to y hands dy·x back to w. */
export function convFilterGradient(config: OpOf<"convFilterGradient">, [x, dy]: readonly NdArray[]): NdArray[] {
  const dw = zeros(config.kernelShape);
  forEachProduct(x!.shape, config.kernelShape, config, (inX, inW, inY) => {
    dw.data[inW]! += dy!.data[inY]! * x!.data[inX]!;
  });
  return [dw];
}

export function maxPool(config: OpOf<"maxPool">, [x]: readonly NdArray[]): NdArray[] {
  const { shape, winners } = firstMaxima(x!, config, config.kernel);
  return [{ shape, data: Float64Array.from(winners, (winner) => x!.data[winner]!) }];
}

export function maxPoolGradient(config: OpOf<"maxPoolGradient">, [dy, x]: readonly NdArray[]): NdArray[] {
  const dx = zeros(x!.shape);
  firstMaxima(x!, config, config.kernel).winners.forEach((winner, offset) => {
    dx.data[winner]! += dy!.data[offset]!;
  });
  return [dx];
}

/** The sum of each window's pixels inside the image, divided by how many these are. */
export function averagePool({ kernel, ...window }: OpOf<"averagePool">, [x]: readonly NdArray[]): NdArray[] {
  const [batch, channels, height, width] = x!.shape as ImageLike;
  const { rows, columns } = allStarts(x!.shape as ImageLike, kernel, window);
  const y = zeros([batch, channels, rows.length, columns.length]);
  const counts = zeros(y.shape);
  for (let plane = 0; plane < batch * channels; plane++) {
    const place = [Math.floor(plane / channels), plane % channels] as const;
    for (const [row, top] of rows.entries()) {
      for (const [column, left] of columns.entries()) {
        const inY = offsetOf(y.shape, [...place, row, column]);
        for (let inRow = Math.max(top, 0); inRow < Math.min(top + kernel[0], height); inRow++) {
          for (let inColumn = Math.max(left, 0); inColumn < Math.min(left + kernel[1], width); inColumn++) {
            y.data[inY]! += x!.data[offsetOf(x!.shape, [...place, inRow, inColumn])]!;
            counts.data[inY]!++;
          }
        }
      }
    }
  }
  return [{ shape: y.shape, data: y.data.map((sum, offset) => sum / counts.data[offset]!) }];
}

type ImageLike = readonly [batch: number, channels: number, height: number, width: number];

/**
 * Every place where a window starts along one axis, counted in pixels of the image: below 0 it starts in the padding.
 * The window stays inside the padded image.
 */
function windowStarts(size: number, kernel: number, stride: number, before: number, after: number): number[] {
  const starts: number[] = [];
  for (let start = -before; start + kernel <= size + after; start += stride) starts.push(start);
  return starts;
}

function allStarts([, , height, width]: ImageLike, [kernelHeight, kernelWidth]: Size2, { strides, pads }: Window) {
  const [top, left, bottom, right] = pads;
  return {
    rows: windowStarts(height, kernelHeight, strides[0], top, bottom),
    columns: windowStarts(width, kernelWidth, strides[1], left, right),
  };
}

function convShape(xShape: Shape, wShape: Shape, window: Window): Shape {
  const { rows, columns } = allStarts(xShape as ImageLike, [wShape[2]!, wShape[3]!], window);
  return [xShape[0]!, wShape[0]!, rows.length, columns.length];
}

/** Visits the offsets in x, w and y of each product x·w that a convolution adds to y; zeros of the padding are left out. */
function forEachProduct(
  xShape: Shape,
  wShape: Shape,
  window: Window & { readonly groups: number },
  visit: (inX: number, inW: number, inY: number) => void,
): void {
  const [batch, channels, height, width] = xShape as ImageLike;
  const [filters, channelsOfGroup, kernelHeight, kernelWidth] = wShape as ImageLike;
  const filtersOfGroup = filters / window.groups;
  const yShape = convShape(xShape, wShape, window);
  const { rows, columns } = allStarts(xShape as ImageLike, [kernelHeight, kernelWidth], window);

  for (let image = 0; image < batch; image++) {
    for (let filter = 0; filter < filters; filter++) {
      const firstChannel = Math.floor(filter / filtersOfGroup) * channelsOfGroup;
      for (const [row, top] of rows.entries()) {
        for (const [column, left] of columns.entries()) {
          const inY = offsetOf(yShape, [image, filter, row, column]);
          for (let channel = 0; channel < channelsOfGroup; channel++) {
            const planeOfX = image * channels + firstChannel + channel;
            const firstInW = offsetOf(wShape, [filter, channel, 0, 0]);
            for (let kernelRow = 0; kernelRow < kernelHeight; kernelRow++) {
              for (let kernelColumn = 0; kernelColumn < kernelWidth; kernelColumn++) {
                const y = top + kernelRow;
                const x = left + kernelColumn;
                if (y < 0 || y >= height || x < 0 || x >= width) continue;
                visit((planeOfX * height + y) * width + x, firstInW + kernelRow * kernelWidth + kernelColumn, inY);
              }
            }
          }
        }
      }
    }
  }
}

/** Offset in x of the maximum of each window; the first one in row-major order where several are equal. */
function firstMaxima(x: NdArray, window: Window, kernel: Size2): { shape: Shape; winners: number[] } {
  const [batch, channels, height, width] = x.shape as ImageLike;
  const { rows, columns } = allStarts(x.shape as ImageLike, kernel, window);
  const winners: number[] = [];

  for (let image = 0; image < batch; image++) {
    for (let channel = 0; channel < channels; channel++) {
      for (const top of rows) {
        for (const left of columns) {
          let winner = -1;
          for (let row = Math.max(top, 0); row < Math.min(top + kernel[0], height); row++) {
            for (let column = Math.max(left, 0); column < Math.min(left + kernel[1], width); column++) {
              const candidate = offsetOf(x.shape, [image, channel, row, column]);
              if (winner < 0 || x.data[candidate]! > x.data[winner]!) winner = candidate;
            }
          }
          winners.push(winner);
        }
      }
    }
  }
  return { shape: [batch, channels, rows.length, columns.length], winners };
}
