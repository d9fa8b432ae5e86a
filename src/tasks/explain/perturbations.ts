import type { RgbImage } from "../../base/platform.ts";
import type { Preprocessing } from "../../graph/preprocessing.ts";
import { mulberry32 } from "../../tensor/random.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import { resizeMap } from "./maps.ts";

/** A part of an image to keep, `[H, W]`, from 0 (replaced by the baseline) to 1 (kept). */
export type Mask = FloatTensor;

/** The color `[red, green, blue]` that the network reads as 0: gray if pixels are scaled to −1 … 1. */
export function neutralColor({ scale, offset }: Preprocessing): readonly number[] {
  const at = (values: number | readonly number[], channel: number) =>
    typeof values === "number" ? values : values[channel]!;
  return [0, 1, 2].map((channel) => Math.min(255, Math.max(0, -at(offset, channel) / at(scale, channel))));
}

/** Blends an image into a background where the mask is below 1: one color, or another image's pixels. */
export function masked({ width, height, data }: RgbImage, mask: Mask, background: ArrayLike<number>): RgbImage {
  const blended = data.map((value, index) => {
    const base = background[index % background.length]!;
    return Math.round(base + (value - base) * mask.data[Math.floor(index / 3)]!);
  });
  return { width, height, data: blended };
}

/** Squares that slide over the image by half their side: `perSide`² masks, each 0 inside its square. */
export function occlusionMasks([height, width]: readonly [number, number], perSide: number): readonly Mask[] {
  const side = 2 / (perSide + 1);
  return Array.from({ length: perSide ** 2 }, (_, index) => {
    const [top, left] = [(Math.floor(index / perSide) * side) / 2, ((index % perSide) * side) / 2];
    const mask = floatTensor([height, width]);
    for (const position of mask.data.keys()) {
      const [y, x] = [(Math.floor(position / width) + 0.5) / height, ((position % width) + 0.5) / width];
      mask.data[position] = y >= top && y < top + side && x >= left && x < left + side ? 0 : 1;
    }
    return mask;
  });
}

/**
 * Random grids of 7×7 cells, half of them 1, enlarged smoothly and shifted by a part of a cell.
 * @see Petsiuk et al. 2018, "RISE"
 */
export function* riseMasks([height, width]: readonly [number, number], count: number, seed: number): Generator<Mask> {
  const random = mulberry32(seed);
  const cells = 7;
  const [cellHeight, cellWidth] = [Math.ceil(height / cells), Math.ceil(width / cells)];
  for (let made = 0; made < count; made++) {
    const grid = floatTensor(
      [cells + 1, cells + 1],
      Float32Array.from({ length: (cells + 1) ** 2 }, () => (random() < 0.5 ? 1 : 0)),
    );
    const large = resizeMap(grid, [(cells + 1) * cellHeight, (cells + 1) * cellWidth]);
    const [top, left] = [Math.floor(random() * cellHeight), Math.floor(random() * cellWidth)];
    const mask = floatTensor([height, width]);
    for (const position of mask.data.keys()) {
      const row = top + Math.floor(position / width);
      mask.data[position] = large.data[row * large.shape[1]! + left + (position % width)]!;
    }
    yield mask;
  }
}

/** The `count` channels of activations `[1, H, W, C]` that vary most, each scaled to 0 … 1 and enlarged to the image. */
export function* channelMasks(
  { shape, data }: FloatTensor,
  size: readonly [number, number],
  count: number,
): Generator<{ readonly channel: number; readonly mask: Mask }> {
  const [, height, width, channels] = shape as [number, number, number, number];
  const maps = Array.from({ length: channels }, (_, channel) =>
    Float32Array.from({ length: height * width }, (_, position) => data[position * channels + channel]!),
  );
  const spread = maps.map((map) => {
    const mean = map.reduce((sum, value) => sum + value, 0) / map.length;
    return map.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  });
  const order = [...maps.keys()].sort((a, b) => spread[b]! - spread[a]! || a - b).slice(0, count);
  for (const channel of order) {
    const map = maps[channel]!;
    const [low, high] = [Math.min(...map), Math.max(...map)];
    if (high === low) return;
    const scaled = floatTensor(
      [height, width],
      map.map((value) => (value - low) / (high - low)),
    );
    yield { channel, mask: resizeMap(scaled, size) };
  }
}

/** Blurs an image: three times the mean of a square of about a tenth of its side, nearly a Gaussian. */
export function blurred({ width, height, data }: RgbImage): RgbImage {
  const radius = Math.max(1, Math.round(Math.min(width, height) / 20));
  let pixels = Float32Array.from(data);
  for (let pass = 0; pass < 3; pass++) {
    pixels = meansAlong(pixels, { length: width, stride: 3, radius });
    pixels = meansAlong(pixels, { length: height, stride: 3 * width, radius });
  }
  return { width, height, data: Uint8Array.from(pixels, Math.round) };
}

/** Running means along one axis; at the edge, of what is there. */
function meansAlong(
  values: Float32Array,
  { length, stride, radius }: { readonly length: number; readonly stride: number; readonly radius: number },
): Float32Array<ArrayBuffer> {
  const means = new Float32Array(values.length);
  for (const index of values.keys()) {
    const place = Math.floor(index / stride) % length;
    if (place > 0) continue;
    let [sum, count] = [0, 0];
    for (let at = -radius; at < length; at++) {
      const [entering, leaving] = [at + radius, at - radius - 1];
      if (entering < length) [sum, count] = [sum + values[index + entering * stride]!, count + 1];
      if (leaving >= 0) [sum, count] = [sum - values[index + leaving * stride]!, count - 1];
      if (at >= 0) means[index + at * stride] = sum / count;
    }
  }
  return means;
}

/**
 * Replaces the masked positions (1) by what their neighbors suggest, with a little noise: each becomes the weighted mean of
 * its 8 neighbors, direct ones counting 1/6 and diagonal ones 1/12, solved by relaxation.
 * @see Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods" (ROAD)
 */
export function imputed({ width, height, data }: RgbImage, mask: Mask): RgbImage {
  const removed = [...mask.data.keys()].filter((position) => mask.data[position]! > 0);
  const pixels = Float32Array.from(data);
  const kept = [...mask.data.keys()].filter((position) => mask.data[position] === 0);
  for (const color of [0, 1, 2]) {
    const mean = kept.reduce((sum, position) => sum + data[3 * position + color]!, 0) / Math.max(1, kept.length);
    for (const position of removed) pixels[3 * position + color] = mean;
  }
  const around = [-1, 0, 1]
    .flatMap((down) => [-1, 0, 1].map((right) => [down, right] as const))
    .filter(([y, x]) => y !== 0 || x !== 0);
  for (let round = 0; round < 30; round++) {
    for (const position of round % 2 === 0 ? removed : removed.toReversed()) {
      const [y, x] = [Math.floor(position / width), position % width];
      let [red, green, blue, total] = [0, 0, 0, 0];
      for (const [down, right] of around) {
        const [row, column] = [y + down, x + right];
        if (row < 0 || row >= height || column < 0 || column >= width) continue;
        const weight = down === 0 || right === 0 ? 2 : 1;
        const at = 3 * (row * width + column);
        red += weight * pixels[at]!;
        green += weight * pixels[at + 1]!;
        blue += weight * pixels[at + 2]!;
        total += weight;
      }
      pixels.set([red / total, green / total, blue / total], 3 * position);
    }
  }
  const random = mulberry32(0);
  const noise = 0.01 * 255;
  for (const position of removed) {
    for (const color of [0, 1, 2]) pixels[3 * position + color]! += noise * (2 * random() - 1);
  }
  return { width, height, data: Uint8Array.from(pixels, (value) => Math.min(255, Math.max(0, Math.round(value)))) };
}
