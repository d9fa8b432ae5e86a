import type { Value } from "../../graph/ops.ts";
import type { Tensors } from "../../platform.ts";
import { mulberry32 } from "../../tensor/random.ts";
import { floatTensor } from "../../tensor/tensor.ts";

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
