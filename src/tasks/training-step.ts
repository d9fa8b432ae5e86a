import { toOnnx } from "../compiler/onnx.ts";
import { splitBatchNorm } from "../compiler/split-batch-norm.ts";
import { fromEngineLayout } from "../graph/engine-layout.ts";
import type { Network } from "../graph/network.ts";
import { networkWeights } from "../graph/network.ts";
import type { Platform, Session, SessionOptions, Tensors } from "../platform.ts";
import { mulberry32 } from "../tensor/random.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../tensor/tensor.ts";
import type { Weights } from "../weights/initialize.ts";
import { channelBlock } from "./channel-block.ts";
import { type TrainingGraphOptions, trainingGraph, trainingNames } from "./training-graph.ts";
import { checkState, initialState, type StateEntry, type TrainingState } from "./training-state.ts";

/** How a training step is compiled, and the engine it runs on. */
export interface TrainingStepOptions extends TrainingGraphOptions {
  readonly platform: Platform;
  readonly session?: SessionOptions;
}

export interface StepInput {
  /** `[N, H, W, C]`: bytes, or float32 where the graph has no preprocessing. */
  readonly images: Tensor;
  /** Target probabilities `[N, classes]`. */
  readonly targets: FloatTensor;
  readonly learningRate: number;
  /** Seed of this step's dropout. */
  readonly seed?: number;
}

export interface StepResult {
  /** Mean over the batch, before the update. */
  readonly loss: number;
  /** `[N, classes]`, before the update. */
  readonly logits: FloatTensor;
  /** By weight, in Keras's layout, where the step was created with `gradientOutputs`; else empty. */
  readonly gradients: Weights;
}

/**
 * A network in training: its weights and the optimizer's memory, replaced by one run of the engine at each step. A step
 * that fails leaves them as they were.
 */
export class TrainingStep {
  readonly #network: Network;
  readonly #options: TrainingGraphOptions;
  readonly #session: Session;
  readonly #entries: readonly StateEntry[];
  readonly #masks: readonly { name: string; shape: readonly number[]; rate: number }[];
  #state: ReadonlyMap<string, FloatTensor>;
  #steps = 0;

  private constructor(
    network: Network,
    options: TrainingStepOptions,
    session: Session,
    parts: {
      entries: readonly StateEntry[];
      masks: readonly { name: string; shape: readonly number[]; rate: number }[];
    },
    state: TrainingState,
  ) {
    this.#network = network;
    this.#options = options;
    this.#session = session;
    this.#entries = parts.entries;
    this.#masks = parts.masks;
    this.#state = state.tensors;
    this.#steps = state.steps;
  }

  /** Compiles the step and loads it into the engine, with `weights` (Keras's layout) to start from. */
  static create(network: Network, weights: Weights, options: TrainingStepOptions): Promise<TrainingStep> {
    return TrainingStep.#compile(network, options, (entries) => initialState(entries, weights));
  }

  /**
   * Compiles the step, to go on from what `state()` of another one gave: with the same options, on the same machine, bit
   * for bit as that one would have.
   * @throws {WeightsError} the state is of another network or of other options.
   */
  static restore(network: Network, state: TrainingState, options: TrainingStepOptions): Promise<TrainingStep> {
    return TrainingStep.#compile(network, options, (entries) => {
      checkState(network.name, entries, state);
      return state;
    });
  }

  static async #compile(
    network: Network,
    options: TrainingStepOptions,
    start: (entries: readonly StateEntry[]) => TrainingState,
  ): Promise<TrainingStep> {
    const { graph, state: entries, dropoutMasks } = trainingGraph(network, options);
    const state = start(entries);
    const { platform, session: settings } = options;
    const blockSize = await channelBlock(platform, settings?.device);
    const hasWholeNorm = settings?.device === undefined || ["cpu", "wasm"].includes(settings.device);
    const model = toOnnx(hasWholeNorm ? graph : splitBatchNorm(graph), { blockSize });
    const session = await platform.createSession(model, settings);
    const masks = dropoutMasks.map(({ mask: { name, shape }, rate }) => ({ name, shape, rate }));
    return new TrainingStep(network, options, session, { entries, masks }, state);
  }

  /** Number of steps done. */
  get steps(): number {
    return this.#steps;
  }

  /** Runs one step and moves the weights. @throws {Error} what the engine says; the weights stay as they were. */
  async run(input: StepInput): Promise<StepResult> {
    const scalars = this.#options.optimizer.scalars(input.learningRate, this.#steps + 1);
    const feeds: Record<string, Tensor> = {
      [trainingNames.images]: input.images,
      [trainingNames.targets]: input.targets,
      ...Object.fromEntries(this.#state),
      ...this.#dropoutMasks(input.seed ?? this.#steps),
    };
    for (const [name, value] of Object.entries(scalars)) {
      feeds[trainingNames.scalar(name)] = floatTensor([], Float32Array.of(value));
    }
    const results = await this.#session.run(feeds);
    this.#state = new Map(this.#entries.map(({ name }) => [name, results[trainingNames.next(name)] as FloatTensor]));
    this.#steps++;
    const loss = (results[trainingNames.loss]!.data as Float32Array)[0]!;
    return { loss, logits: results[trainingNames.logits] as FloatTensor, gradients: this.#gradients(results) };
  }

  #gradients(results: Tensors): Weights {
    if (!this.#options.gradientOutputs) return new Map();
    const trained = networkWeights(this.#network).filter((spec) => spec.trainable);
    return new Map(
      trained.map((spec) => [
        spec.name,
        fromEngineLayout(spec, results[trainingNames.gradient(spec.name)] as FloatTensor),
      ]),
    );
  }

  /** All that the step remembers, to save it and to `restore` it. Nothing is copied, and later steps do not change it. */
  state(): TrainingState {
    return { tensors: this.#state, steps: this.#steps };
  }

  /** A copy of the weights, in Keras's layout. */
  weights(): Weights {
    const entries = new Map(this.#entries.map((entry) => [entry.name, entry]));
    return new Map(
      networkWeights(this.#network).map(({ name }) => {
        const tensor = this.#state.get(name)!;
        const inKerasLayout = fromEngineLayout(entries.get(name)!.weight, tensor);
        return [name, inKerasLayout === tensor ? floatTensor(tensor.shape, tensor.data.slice()) : inKerasLayout];
      }),
    );
  }

  /** What the engine recorded, if profiling was asked for. */
  endProfiling() {
    return this.#session.endProfiling();
  }

  async dispose(): Promise<void> {
    await this.#session.dispose();
  }

  #dropoutMasks(seed: number): Record<string, FloatTensor> {
    const random = mulberry32(seed);
    return Object.fromEntries(
      this.#masks.map(({ name, shape, rate }) => {
        const mask = floatTensor(shape);
        for (let index = 0; index < mask.data.length; index++) mask.data[index] = random() < rate ? 0 : 1 / (1 - rate);
        return [name, mask];
      }),
    );
  }
}
