import { UsageError } from "../../errors.ts";
import type { Tensors } from "../../platform.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/**
 * Cuts tensors along their first axis into `count` batches of `size` samples each, without copying.
 * @throws {UsageError} a tensor holds another number of samples.
 */
export function microBatches(tensors: Tensors, size: number, count: number): readonly Tensors[] {
  for (const [name, { shape }] of Object.entries(tensors)) {
    if (shape[0] === size * count) continue;
    throw new UsageError({
      where: `training step, ${name}`,
      what: "the number of samples is not that of the step",
      received: shape[0],
      expected: count === 1 ? `${size}` : `${size * count}: ${count} times ${size}`,
    });
  }
  if (count === 1) return [tensors];
  return Array.from({ length: count }, (_, index) =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name, samples(tensor, index * size, (index + 1) * size)]),
    ),
  );
}

function samples({ type, shape, data }: Tensor, start: number, end: number): Tensor {
  const each = sizeOf(shape.slice(1));
  return { type, shape: [end - start, ...shape.slice(1)], data: data.subarray(start * each, end * each) } as Tensor;
}
