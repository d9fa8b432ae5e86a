import { partAfter } from "../models/layer-list.ts";
import type { Answer } from "../tasks/evaluate/evaluate.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import type { TrainingPlan } from "./prepare.ts";
import { changing, type FrozenBackbone, frozenBackbone, frozenEnd, loadPart } from "./step/frozen-backbone.ts";

/** Memory limit of the cached feature maps of the validation images. */
const mostBytes = 512 * 2 ** 20;

/** Weights of a training step in the engine's layout. */
type StepTensors = ReadonlyMap<string, FloatTensor>;

/** Loads the network with its current weights into the engine, to be validated between epochs. */
export class Validation {
  readonly #plan: TrainingPlan;
  readonly #end: number | undefined;
  #backbone: FrozenBackbone | undefined;

  constructor(plan: TrainingPlan) {
    this.#plan = plan;
    // Limits of activations are those of the whole network.
    this.#end = plan.step.quantization ? undefined : frozenEnd(plan.network, changing(plan.step));
  }

  /** A frozen backbone runs only in the first validation, as far as its feature maps fit into memory. */
  async load(tensors: StepTensors): Promise<{ readonly answer: Answer; readonly dispose: () => Promise<void> }> {
    const { network, step } = this.#plan;
    const { platform, session } = step;
    if (this.#end === undefined) {
      const whole = await loadPart(network, tensors, step);
      return { answer: ({ images }) => whole.run(images), dispose: whole.dispose };
    }
    this.#backbone ??= frozenBackbone(network, this.#end, tensors, { ...step, mostBytes });
    const backbone = this.#backbone;
    const head = await loadPart(partAfter(network, this.#end), tensors, { platform, session });
    return {
      answer: async ({ images, indices }) => head.run(await backbone.run(images, Array.from(indices, String))),
      dispose: async () => void (await Promise.all([head.dispose(), backbone.dispose()])),
    };
  }
}
