import type { OnPlatform, Tensors } from "../../base/platform.ts";
import type { StepHealth } from "../../base/records.ts";
import type { WeightSpec } from "../../graph/layer-weights.ts";
import { type Network, networkWeights } from "../../graph/network.ts";
import type { OpGraph } from "../../graph/ops.ts";
import { fromEngineLayout, type Weights } from "../../graph/weights.ts";
import { partAfter, partUpTo } from "../../models/layer-list.ts";
import { deriveSeed } from "../../tensor/random.ts";
import { allFinite, type FloatTensor, floatTensor, type Tensor } from "../../tensor/tensor.ts";
import { changing, type FrozenBackbone, frozenBackbone, frozenEnd } from "./frozen-backbone.ts";
import { dropoutMasks, microBatches } from "./micro-batches.ts";
import { createStagedSession, type Reduce, splitProgram } from "./split-program.ts";
import { fusedProgram, type StepProgram, stepSession } from "./step-program.ts";
import { diagnoseStep, type Fault } from "./training-diagnosis.ts";
import { type StepInterface, splitTrainingGraph, trainingGraph } from "./training-graph.ts";
import { type TrainingGraphOptions, trainingNames } from "./training-graph-options.ts";
import { stepHealth } from "./training-health.ts";
import {
  averageSlot,
  checkState,
  disposeState,
  initialState,
  isOnDevice,
  largestLookedAt,
  type StateEntry,
  StateMemory,
  type StateTensor,
  type TrainingState,
  weightEntry,
  worthKeeping,
} from "./training-state.ts";

/** Memory limit of the feature maps of cached views. */
const mostBytes = 4 * 2 ** 30;

/** Options of a training step. */
export interface TrainingStepOptions extends TrainingGraphOptions, OnPlatform {
  /**
   * Number of micro-batches, of `batchSize` samples each, whose gradients are averaged for one update: large batches in
   * little memory. Normalizations by the batch see one micro-batch at a time. Default 1.
   */
  readonly accumulate?: number;
  /** Averages gradients and statistics over all ranks. */
  readonly reduce?: Reduce;
  /**
   * Runs the frozen layers before all that train once for each view of an image, and keeps their feature maps; no effect if
   * there are none. Default: in every step.
   */
  readonly cachesViews?: boolean;
}

type CompleteOptions = TrainingStepOptions & { readonly accumulate: number };

/** A step as loaded into the engine. */
interface CompiledStep {
  readonly program: StepProgram;
  readonly interface: StepInterface;
  /** Weights that never change, in the engine's layout. */
  readonly frozen: ReadonlyMap<string, FloatTensor>;
  /** Layers that run only for new views. */
  readonly backbone: FrozenBackbone | undefined;
  /** The layers after them, or all. */
  readonly network: Network;
}

/** A batch and its learning rate. */
export interface StepInput {
  /** `[N, H, W, C]`: bytes, or float32 where the graph has no preprocessing. N is `batchSize · accumulate`. */
  readonly images: Tensor;
  /** Target probabilities `[N, classes]`. */
  readonly targets: FloatTensor;
  /** Factor of each sample's loss, `[N]`, if created with `sampleWeights`; default all 1. */
  readonly sampleWeights?: FloatTensor;
  readonly learningRate: number;
  /** Returns the step's health, if created with `health`; default false. */
  readonly health?: boolean;
  /** Seed of this step's dropout; default: the number of steps done. */
  readonly seed?: number;
  /** Name of each image's view, `[N]`: the same name, the same pixels. Required with `cachesViews`. */
  readonly views?: readonly string[] | undefined;
}

/** Loss and logits of a step. */
export interface StepResult {
  /** Mean over the batch, before the update. */
  readonly loss: number;
  /** `[N, classes]`, before the update. */
  readonly logits: FloatTensor;
  /** Global norm of the unclipped gradients, if requested or needed for clipping. */
  readonly gradientNorm?: number;
  /** By weight, in Keras's layout, if created with `gradientOutputs`; else empty. */
  readonly gradients: Weights;
  /** If requested. With `accumulate`, activations are those of the first micro-batch. */
  readonly health?: StepHealth;
  /** False if the loss or a new weight is NaN or infinite: the step is undone, and `diagnose` finds the cause. */
  readonly isSound: boolean;
}

/**
 * A network in training: its weights and optimizer state, replaced by one run of the engine at each step. A failed step
 * leaves them unchanged.
 */
export class TrainingStep {
  readonly #network: Network;
  readonly #options: CompleteOptions;
  readonly #compiled: CompiledStep;
  readonly #state: StateMemory;
  #steps: number;

  private constructor(
    network: Network,
    options: CompleteOptions,
    compiled: CompiledStep,
    { tensors, steps }: TrainingState,
  ) {
    this.#network = network;
    this.#options = options;
    this.#compiled = compiled;
    const { platform, session } = options;
    const createSession = (model: Uint8Array) => platform.engine.createSession(model, { ...session, profile: false });
    this.#state = new StateMemory(named(compiled.interface.state, tensors), createSession);
    this.#steps = steps;
  }

  /**
   * Compiles the step and loads it into the engine, with `weights` (Keras's layout) to start from.
   * @throws {UsageError} no weight trains, or an option is out of its range.
   */
  static create(network: Network, weights: Weights, options: TrainingStepOptions): Promise<TrainingStep> {
    return TrainingStep.#compile(network, options, (entries) => initialState(entries, weights));
  }

  /**
   * Compiles the step, to continue from the `state()` of another one: with the same options on the same machine, bit for
   * bit as that one would have.
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
    given: TrainingStepOptions,
    start: (entries: readonly StateEntry[]) => TrainingState,
  ): Promise<TrainingStep> {
    const complete = { accumulate: 1, ...given };
    const { reduce, platform, session } = complete;
    const end = complete.cachesViews ? frozenEnd(network, changing(complete)) : undefined;
    const trained = end === undefined ? network : partAfter(network, end);
    const before = end === undefined ? [] : networkWeights(partUpTo(network, end)).map(weightEntry);
    const options = end === undefined ? complete : { ...complete, preprocessing: undefined };
    const parts = (frozen: ReadonlyMap<string, FloatTensor>) => ({
      frozen,
      network: trained,
      backbone: end === undefined ? undefined : frozenBackbone(network, end, frozen, { ...given, mostBytes }),
    });
    if (options.accumulate === 1 && !reduce) {
      const graph = trainingGraph(trained, unsynchronized(options));
      const unchanged = [...before, ...graph.frozen];
      const state = start([...graph.state, ...unchanged]);
      const frozen = named(unchanged, state.tensors);
      const keep = worthKeeping(graph.state).map((name) => trainingNames.next(name));
      const kept = { ...session, keep };
      const program = fusedProgram(await stepSession(graph.graph, { platform, session: kept, frozen }));
      return new TrainingStep(network, complete, { program, interface: graph, ...parts(frozen) }, state);
    }
    const split = splitTrainingGraph(trained, reduce ? options : unsynchronized(options));
    const unchanged = [...before, ...split.frozen];
    const state = start([...split.state, ...unchanged]);
    const frozen = named(unchanged, state.tensors);
    const wholeBatches = reduce !== undefined && options.synchronizeBatchNormalization === true;
    const load = (graph: OpGraph) => stepSession(graph, { platform, session, frozen, wholeBatches });
    const forward = await (reduce ? createStagedSession(split.forward, load, reduce) : load(split.forward));
    const update = await stepSession(split.update, { platform, session, frozen: new Map() });
    const program = splitProgram(forward, update, split, reduce);
    return new TrainingStep(network, complete, { program, interface: split, ...parts(frozen) }, state);
  }

  /** Number of steps done. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * Runs one step and moves the weights.
   * @throws {UsageError} the number of samples is not that of the step.
   * @throws {Error} the engine failed; the weights are unchanged.
   */
  async run(input: StepInput): Promise<StepResult> {
    const state = this.#state.tensors;
    const options = this.#options;
    const { program, backbone } = this.#compiled;
    const images = backbone ? await backbone.run(input.images, input.views!) : input.images;
    const { tensors: results, kept } = await program.run({
      state,
      scalars: this.#scalars(input.learningRate, this.#steps + 1),
      batches: this.#batches({ ...input, images }),
    });
    const next = new Map(
      [...state.keys()].map((name): [string, StateTensor] => {
        const output = trainingNames.next(name);
        return [name, kept[output] ?? (results[output] as FloatTensor)];
      }),
    );
    const loss = Number(results[trainingNames.loss]!.data[0]);
    const isSound = Number.isFinite(loss) && areFinite(next.values());
    const health = input.health && options.health && (await this.#health({ next, results }));
    if (isSound) {
      this.#state.replace(next);
      this.#steps++;
    } else disposeState(next);
    const gradientNorm = results[trainingNames.gradientNorm];
    return {
      loss,
      isSound,
      logits: results[trainingNames.logits] as FloatTensor,
      ...(gradientNorm && { gradientNorm: Number(gradientNorm.data[0]) }),
      gradients: this.#gradients(results),
      ...(health && { health }),
    };
  }

  async #health(step: { next: ReadonlyMap<string, StateTensor>; results: Tensors }): Promise<StepHealth> {
    const [state, next] = [await this.#state.fetch(), await this.#state.read(step.next)];
    const { network, interface: compiled } = this.#compiled;
    return stepHealth(network, compiled.trained, { state, next, results: step.results });
  }

  /** Copies the state from the device; required after the last step before `state` and `weights`. */
  async fetch(): Promise<void> {
    await this.#state.fetch();
  }

  #scalars(learningRate: number, step: number): Tensors {
    const { optimizer, averageDecay } = this.#options;
    const named = this.#compiled.interface.rateFactors.flatMap((factor) =>
      Object.entries(optimizer.scalars(learningRate * factor, step)).map(
        ([name, value]) => [trainingNames.scalar(name, factor), value] as const,
      ),
    );
    const share = averageDecay ? [[trainingNames.averageShare, 1 - averageDecay(step)] as const] : [];
    return Object.fromEntries(
      [...named, ...share].map(([name, value]) => [name, floatTensor([], Float32Array.of(value))]),
    );
  }

  #batches({ images, targets, sampleWeights, seed = this.#steps }: StepInput): readonly Tensors[] {
    const { batchSize, accumulate } = this.#options;
    const size = batchSize * accumulate;
    const weights = sampleWeights ?? floatTensor([size], new Float32Array(size).fill(1));
    const fed = {
      [trainingNames.images]: images,
      [trainingNames.targets]: targets,
      ...(this.#options.sampleWeights && { [trainingNames.sampleWeights]: weights }),
    };
    return microBatches(fed, batchSize, accumulate).map((batch, index) => ({
      ...batch,
      ...dropoutMasks(
        this.#compiled.interface.dropoutMasks,
        index === 0 ? seed : deriveSeed(seed, "micro-batch", index),
      ),
    }));
  }

  #gradients(results: Tensors): Weights {
    if (!this.#options.gradientOutputs) return new Map();
    return new Map(
      this.#compiled.interface.trained.map((spec) => [
        spec.name,
        copyForKeras(spec, results[trainingNames.gradient(spec.name)] as FloatTensor),
      ]),
    );
  }

  /**
   * The whole state, to save and to `restore`. Nothing is copied, and later steps do not change it.
   * @throws {UsageError} some of it is on a device: `fetch` it first.
   */
  state(): TrainingState {
    return { tensors: new Map([...this.#state.here, ...this.#compiled.frozen]), steps: this.#steps };
  }

  /**
   * A copy of the weights, in Keras's layout.
   * @param options `averaged`: their averages, if created with `averageDecay`; frozen weights are their own average.
   * @throws {UsageError} some are on a device: `fetch` them first.
   */
  weights(options: { readonly averaged?: boolean } = {}): Weights {
    const tensors = this.tensors(options);
    return new Map(
      networkWeights(this.#network).map((spec) => [spec.name, copyForKeras(spec, tensors.get(spec.name)!)]),
    );
  }

  /**
   * The weights in the engine's layout. Nothing is copied, and later steps do not change them.
   * @param options as for {@link weights}.
   * @throws {UsageError} some are on a device: `fetch` them first.
   */
  tensors(options: { readonly averaged?: boolean } = {}): ReadonlyMap<string, FloatTensor> {
    const state = this.#state.here;
    return new Map(
      networkWeights(this.#network).map(({ name }) => {
        const average = options.averaged ? state.get(`${name}#${averageSlot}`) : undefined;
        return [name, average ?? state.get(name) ?? this.#compiled.frozen.get(name)!];
      }),
    );
  }

  /**
   * Finds the first NaN or infinite weight, layer output or gradient of the next step on this input; undefined if there is
   * none before the optimizer. Costs about as much as creating a step.
   */
  async diagnose(input: StepInput): Promise<Fault | undefined> {
    const { platform, session } = this.#options;
    const weights = new Map([...(await this.#state.fetch()), ...this.#compiled.frozen]);
    for (const batch of this.#batches(input)) {
      const diagnosed = { network: this.#network, options: unsynchronized(this.#options), weights, batch };
      const fault = await diagnoseStep(diagnosed, { platform, session });
      if (fault) return fault;
    }
    return undefined;
  }

  /** The engine's records, if profiling is on. */
  endProfiling(): ReturnType<StepProgram["endProfiling"]> {
    return this.#compiled.program.endProfiling();
  }

  /** Frees the memory of the session and of the state. */
  async dispose(): Promise<void> {
    await this.#state.dispose();
    await this.#compiled.program.dispose();
    await this.#compiled.backbone?.dispose();
  }
}

/**
 * Returns true if small tensors, and so nearly surely all, are finite: NaN spreads to the gradient of every bias, beta or
 * depthwise kernel before it, and checking every number would take longer than an update.
 */
function areFinite(tensors: Iterable<StateTensor>): boolean {
  for (const tensor of tensors) {
    if (isOnDevice(tensor) || tensor.data.length > largestLookedAt) continue;
    if (!allFinite(tensor.data)) return false;
  }
  return true;
}

/** Options of a step without other ranks. */
function unsynchronized(options: TrainingStepOptions): TrainingStepOptions {
  return { ...options, synchronizeBatchNormalization: false };
}

function copyForKeras(spec: WeightSpec, tensor: FloatTensor): FloatTensor {
  const inKerasLayout = fromEngineLayout(spec, tensor);
  return inKerasLayout === tensor ? floatTensor(tensor.shape, tensor.data.slice()) : inKerasLayout;
}

function named(
  entries: readonly StateEntry[],
  tensors: ReadonlyMap<string, FloatTensor>,
): ReadonlyMap<string, FloatTensor> {
  return new Map(entries.map(({ name }) => [name, tensors.get(name)!]));
}
