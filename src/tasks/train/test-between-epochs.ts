import type { Batch } from "../../data/batches.ts";
import type { Layer, Network } from "../../graph/network.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import type { Weights } from "../../weights/initialize.ts";
import { featureNetwork } from "../features/feature-network.ts";
import { loadPredictor, type Predictor } from "../model/predictor.ts";
import { bodyWeights } from "./frozen-features.ts";
import { headOf } from "./head-phase.ts";
import type { TrainingPlan } from "./plan.ts";

/** Most memory that maps of the validation images may take. */
const mostBytes = 512 * 2 ** 20;

/** A network in the engine, to be tested with batches of images. */
export interface TestedNetwork {
  readonly answer: (batch: Batch) => Promise<FloatTensor>;
  readonly dispose: () => Promise<void>;
}

/** Puts the network with its weights of the moment into the engine, to be tested between epochs. */
export class TestBetweenEpochs {
  readonly #plan: TrainingPlan;
  readonly #end: number | undefined;
  /** What the frozen beginning said to each batch, by the images in it. */
  readonly #maps = new Map<string, FloatTensor>();

  constructor(plan: TrainingPlan) {
    this.#plan = plan;
    const end = frozenEnd(plan.network, (layer) => changes(layer, plan));
    const images = plan.validation?.dataset.samples.length ?? 0;
    const bytes =
      end === undefined ? 0 : sizeOf(plan.network.layers[end]!.outputShape) * images * Float32Array.BYTES_PER_ELEMENT;
    this.#end = bytes / plan.communicator.size <= mostBytes ? end : undefined;
  }

  /** Where the beginning is frozen, and what it says fits into memory, it runs in the first test only. */
  async load(weights: Weights): Promise<TestedNetwork> {
    const { network, preprocessing } = this.#plan;
    if (this.#end === undefined) {
      const whole = await this.#session(network, weights, preprocessing);
      return { answer: ({ images }) => whole.run(images), dispose: () => whole.dispose() };
    }
    const { network: body } = featureNetwork(network, { layers: [network.layers[this.#end]!.name] });
    const rest = await this.#session(headOf(network, this.#end), weights, undefined);
    let beginning: Predictor | undefined;
    const answer = async ({ images, indices }: Batch) => {
      const key = indices.join();
      const kept = this.#maps.get(key);
      if (kept) return rest.run(kept);
      beginning ??= await this.#session(body, weights, preprocessing);
      const maps = await beginning.run(images);
      this.#maps.set(key, maps);
      return rest.run(maps);
    };
    return { answer, dispose: async () => void (await Promise.all([rest.dispose(), beginning?.dispose()])) };
  }

  #session(
    part: Network,
    weights: Weights,
    preprocessing: TrainingPlan["preprocessing"] | undefined,
  ): Promise<Predictor> {
    const { platform, device, threads } = this.#plan.options;
    return loadPredictor({ network: part, weights: bodyWeights(part, weights), preprocessing }, platform, {
      device,
      threads,
    });
  }
}

/**
 * Place of the last layer before all that change, on whose output alone everything behind it depends; undefined where there
 * is none but the input.
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

/** Whether training changes something of a layer: weights, or moving statistics alone. */
function changes(layer: Layer, { options: { trainable, batchNorm } }: TrainingPlan): boolean {
  const trains = layer.weights.some((spec) => spec.trainable && (trainable?.(spec) ?? true));
  return trains || (layer.config.type === "BatchNormalization" && batchNorm?.(layer) === "training");
}
