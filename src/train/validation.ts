import { compileGraph } from "../compiler/compile.ts";
import { imageInput, lower } from "../compiler/lower.ts";
import type { Batch } from "../data/batches.ts";
import type { Layer, Network } from "../graph/network.ts";
import type { Answer } from "../tasks/evaluate/evaluate.ts";
import { featureNetwork } from "../tasks/features/feature-extractor.ts";
import { sizeOf } from "../tensor/shape.ts";
import type { FloatTensor, Tensor } from "../tensor/tensor.ts";
import { bodyWeights } from "./frozen-features.ts";
import { headOf } from "./head-phase.ts";
import type { TrainingPlan } from "./prepare.ts";

/** Memory limit of the cached feature maps of the validation images. */
const mostBytes = 512 * 2 ** 20;

/** Weights of a training step in the engine's layout. */
type StepTensors = ReadonlyMap<string, FloatTensor>;

/** A part of the network in the engine. */
interface LoadedPart {
  readonly run: (images: Tensor) => Promise<FloatTensor>;
  readonly dispose: () => Promise<void>;
}

/** Loads the network with its current weights into the engine, to be validated between epochs. */
export class Validation {
  readonly #plan: TrainingPlan;
  readonly #end: number | undefined;
  /** Feature maps of each batch from the frozen backbone, by the images in it. */
  readonly #maps = new Map<string, FloatTensor>();

  constructor(plan: TrainingPlan) {
    this.#plan = plan;
    const end = frozenEnd(plan.network, (layer) => changes(layer, plan));
    const images = plan.validation?.dataset.samples.length ?? 0;
    const bytes =
      end === undefined ? 0 : sizeOf(plan.network.layers[end]!.outputShape) * images * Float32Array.BYTES_PER_ELEMENT;
    this.#end = bytes / plan.communicator.size <= mostBytes ? end : undefined;
  }

  /** A frozen backbone whose feature maps fit into memory runs only in the first validation. */
  async load(tensors: StepTensors): Promise<{ readonly answer: Answer; readonly dispose: () => Promise<void> }> {
    const { network, preprocessing } = this.#plan;
    if (this.#end === undefined) {
      const whole = await this.#session(network, tensors, preprocessing);
      return { answer: ({ images }) => whole.run(images), dispose: () => whole.dispose() };
    }
    const { network: backbone } = featureNetwork(network, { layers: [network.layers[this.#end]!.name] });
    const head = await this.#session(headOf(network, this.#end), tensors, undefined);
    let loaded: LoadedPart | undefined;
    const answer = async ({ images, indices }: Batch) => {
      const key = indices.join();
      const kept = this.#maps.get(key);
      if (kept) return head.run(kept);
      loaded ??= await this.#session(backbone, tensors, preprocessing);
      const maps = await loaded.run(images);
      this.#maps.set(key, maps);
      return head.run(maps);
    };
    return { answer, dispose: async () => void (await Promise.all([head.dispose(), loaded?.dispose()])) };
  }

  async #session(
    part: Network,
    tensors: StepTensors,
    preprocessing: TrainingPlan["preprocessing"] | undefined,
  ): Promise<LoadedPart> {
    const { platform, session } = this.#plan.step;
    const { graph } = lower(part, { mode: "inference", batchSize: 1, preprocessing });
    const options = { form: "inference", name: part.name, dynamicBatch: true } as const;
    const model = compileGraph(graph, bodyWeights(part, tensors), options);
    const loaded = await platform.engine.createSession(model, session);
    return {
      run: async (images) => (await loaded.run({ [imageInput]: images }))[part.output] as FloatTensor,
      dispose: () => loaded.dispose(),
    };
  }
}

/**
 * Index of the last layer before all layers that change, if everything after it depends on its output alone; undefined if
 * there is none but the input.
 */
export function frozenEnd({ layers }: Network, changes: (layer: Layer) => boolean): number | undefined {
  const places = new Map(layers.map(({ name }, index) => [name, index]));
  const firstChange = layers.findIndex(changes);
  let earliestRead = layers.length;
  for (let end = layers.length - 2; end > 0; end--) {
    earliestRead = Math.min(earliestRead, ...layers[end + 1]!.inbound.map((name) => places.get(name)!));
    if (end < firstChange && earliestRead >= end) return end;
  }
  return undefined;
}

/** Returns true if training changes a layer's weights or moving statistics. */
function changes(layer: Layer, { step: { trainable, batchNorm } }: TrainingPlan): boolean {
  const trains = layer.weights.some((spec) => spec.trainable && (trainable?.(spec) ?? true));
  return trains || (layer.config.type === "BatchNormalization" && batchNorm?.(layer) === "training");
}
