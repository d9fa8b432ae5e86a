import { partAfter } from "../models/layer-list.ts";
import type { Answer } from "../tasks/evaluate/evaluate.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import type { TrainingPlan } from "./prepare.ts";
import { changing, type FrozenBackbone, frozenBackbone, frozenEnd, loadPart } from "./step/frozen-backbone.ts";

/** Memory limit of the cached feature maps of the validation images. */
const mostBytes = 512 * 2 ** 20;

/**
 * Returns a function that loads the network with its current weights, in the engine's layout, to be validated between epochs. A
 * frozen backbone runs only in the first validation, as far as its feature maps fit into memory.
 */
export function validationLoader({ network, step }: TrainingPlan) {
  const { platform, session } = step;
  // Limits of activations are those of the whole network.
  const end = step.quantization ? undefined : frozenEnd(network, changing(step));
  let backbone: FrozenBackbone | undefined;
  return async (
    tensors: ReadonlyMap<string, FloatTensor>,
  ): Promise<{ readonly answer: Answer; readonly dispose: () => Promise<void> }> => {
    if (end === undefined) {
      const whole = await loadPart(network, tensors, step);
      return { answer: ({ images }) => whole.run(images), dispose: whole.dispose };
    }
    backbone ??= frozenBackbone(network, end, tensors, { ...step, mostBytes });
    const { run, dispose } = backbone;
    const head = await loadPart(partAfter(network, end), tensors, { platform, session });
    return {
      answer: async ({ images, indices }) => head.run(await run(images, Array.from(indices, String))),
      dispose: async () => void (await Promise.all([head.dispose(), dispose()])),
    };
  };
}
