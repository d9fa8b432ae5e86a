import { UsageError } from "../../base/errors.ts";
import type { Tensors } from "../../base/platform.ts";
import type { Value } from "../../graph/ops.ts";
import { mulberry32 } from "../../tensor/random.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { floatTensor, type Tensor } from "../../tensor/tensor.ts";

/** Factors of dropout for one run, 0 or 1/(1 − rate), by the name of their input; the same for the same seed. */
export function dropoutMasks(
  masks: readonly { readonly mask: Pick<Value, "name" | "shape">; readonly rate: number }[],
  seed: number,
): Tensors {
  const random = mulberry32(seed);
  return Object.fromEntries(
    masks.map(({ mask: { name, shape }, rate }) => {
      const tensor = floatTensor(shape);
      for (let index = 0; index < tensor.data.length; index++) {
        tensor.data[index] = random() < rate ? 0 : 1 / (1 - rate);
      }
      return [name, tensor];
    }),
  );
}

/**
 * Splits tensors along their first axis into `count` batches of `size` samples each, without copying.
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
