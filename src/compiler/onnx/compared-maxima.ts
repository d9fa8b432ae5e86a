import type { Value } from "../../graph/ops.ts";
import { elementNumber } from "./emitter.ts";
import { type EmitContext, windowAttributes } from "./rules.ts";

/** Below every number that pooling finds. */
const border = -3e38;

/**
 * Max pooling's gradient for engines whose pooling does not say where it found its maxima: one candidate of each window after
 * the other is compared with the maximum, and the first that equals it takes what the others have left. A transposed
 * convolution whose kernels hold a single 1 each brings all of it to its places.
 */
export function emitComparedMaxima({
  emit,
  config,
  inputs,
  x: [dy, x, maxima],
  y: [dx],
}: EmitContext<"maxPoolGradient">): void {
  const [gradient, image] = inputs as [Value, Value];
  const { kernel, strides, pads } = config;
  const [height, width] = kernel as [number, number];
  const [batch, channels, rows, columns] = gradient.shape as [number, number, number, number];
  const [top, left, bottom, right] = pads;
  const amounts = emit.integers([0, 0, top, left, 0, 0, bottom, right]);
  const padded = emit.compute(`${dx}/padded`, "Pad", [x!, amounts, emit.scalar(border)]);
  let rest = dy!;
  const parts: string[] = [];
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const starts = emit.integers([i, j]);
      const ends = emit.integers([i + (rows - 1) * strides[0] + 1, j + (columns - 1) * strides[1] + 1]);
      const slice = [padded, starts, ends, emit.integers([2, 3]), emit.integers(strides)];
      const candidate = emit.compute(`${dx}/candidate`, "Slice", slice);
      const isMaximum = emit.compute(`${dx}/isMaximum`, "Equal", [candidate, maxima!]);
      const share = emit.compute(`${dx}/share`, "Cast", [isMaximum], { to: { i: elementNumber("float32") } });
      const part = emit.compute(`${dx}/part`, "Mul", [share, rest]);
      rest = emit.compute(`${dx}/rest`, "Sub", [rest, part]);
      parts.push(emit.reshape(part, [batch, channels, 1, rows, columns]));
    }
  }
  const positions = height * width;
  const together = emit.compute(`${dx}/parts`, "Concat", parts, { axis: { i: 2 } });
  const stacked = emit.reshape(together, [batch, channels * positions, rows, columns]);
  const kernels = new Float32Array(channels * positions ** 2);
  for (let index = 0; index < channels * positions; index++) kernels[index * positions + (index % positions)] = 1;
  const places = emit.unusedName(`${dx}/places`);
  emit.floats(places, [channels * positions, 1, height, width], kernels);
  const unreached = [0, 1].map((axis) => {
    const reached = (gradient.shape[axis + 2]! - 1) * strides[axis]! + kernel[axis]!;
    return image.shape[axis + 2]! + pads[axis]! + pads[axis + 2]! - reached;
  });
  emit.node("ConvTranspose", [stacked, places], [dx!], {
    ...windowAttributes(config),
    group: { i: channels },
    output_padding: { ints: unreached },
  });
}
