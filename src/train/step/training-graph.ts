import { UsageError } from "../../base/errors.ts";
import { gradient } from "../../compiler/gradient.ts";
import { type LoweredNetwork, lower } from "../../compiler/lower.ts";
import { fakeQuantize } from "../../compiler/quantize/fake-quantize.ts";
import type { Quantization } from "../../compiler/quantize/quantization.ts";
import { recompute } from "../../compiler/recompute.ts";
import type { WeightSpec } from "../../graph/layer-weights.ts";
import type { ConfigOf } from "../../graph/layers.ts";
import { type Network, networkWeights } from "../../graph/network.ts";
import { OpGraphBuilder } from "../../graph/op-builder.ts";
import type { OpGraph, Value } from "../../graph/ops.ts";
import { clipGradients, normOf, sumOfSquares } from "../../learning/gradient-clipping.ts";
import { type TrainingGraphOptions, trainingNames } from "./training-graph-options.ts";
import { writeActivationHealth } from "./training-health.ts";
import { averageSlot, type StateEntry, weightEntry } from "./training-state.ts";

/** Inputs and outputs of a training step, whether it is one graph or two. */
export interface StepInterface {
  /** Entries replaced by each step. */
  readonly state: readonly StateEntry[];
  /** Weights that never change. */
  readonly frozen: readonly StateEntry[];
  /** Weights that train. */
  readonly trained: readonly WeightSpec[];
  /** Factors of the learning rate; each has its own scalars of the optimizer. */
  readonly rateFactors: readonly number[];
  readonly dropoutMasks: readonly { readonly mask: Value; readonly rate: number }[];
}

/** One training step as one graph: forward, loss, gradients, new weights. */
export interface TrainingGraph extends StepInterface {
  readonly graph: OpGraph;
}

/** A training step as two graphs, between which gradients can be accumulated or exchanged. */
export interface SplitTrainingGraph extends StepInterface {
  /** Forward, loss, gradients. */
  readonly forward: OpGraph;
  /** New weights, from the values in `exchanged`. */
  readonly update: OpGraph;
  /** Outputs of `forward` that are inputs of `update`: gradients and batch statistics. */
  readonly exchanged: readonly Value[];
}

/**
 * Composes lower → loss → gradient → update.
 * @throws {UsageError} no weight trains, or the limits of clipping are not allowed.
 */
export function trainingGraph(network: Network, options: TrainingGraphOptions): TrainingGraph {
  const gradients = gradientGraph(network, options);
  const { graph } = gradients;
  const build = new OpGraphBuilder(options.gradientOutputs ? graph : withoutGradientOutputs(graph));
  const parameters = new Map(graph.parameters.map((value) => [value.name, value]));
  const update = writeUpdate({ ...gradients, build, parameters }, options);
  const { trained, frozen, dropoutMasks } = gradients;
  return { graph: build.finish(), ...update, trained, frozen: frozen.map(weightEntry), dropoutMasks };
}

/**
 * Composes lower → loss → gradient, and the update as a second graph.
 * @throws {UsageError} as {@link trainingGraph}.
 */
export function splitTrainingGraph(network: Network, options: TrainingGraphOptions): SplitTrainingGraph {
  const gradients = gradientGraph(network, options);
  const forward = new OpGraphBuilder(withoutUnread(gradients.graph));
  const build = new OpGraphBuilder();
  const exchanged: Value[] = [];
  const exchange = (name: string, { shape }: Value): Value => {
    exchanged.push(build.input(name, shape));
    return exchanged.at(-1)!;
  };
  const parameters = new Map(
    [...gradients.trained, ...gradients.statistics.map(({ weight }) => weight)].map((weight) => {
      const { name, shape } = weightEntry(weight);
      return [name, build.parameter(name, shape)];
    }),
  );
  const received = [...gradients.gradients].map(([name, value]) => {
    return [name, exchange(trainingNames.gradient(name), value)] as const;
  });
  const statistics = gradients.statistics.map((statistic) => {
    const name = trainingNames.batchStatistic(statistic.weight.name);
    forward.output(name, statistic.batch);
    return { ...statistic, batch: exchange(name, statistic.batch) };
  });
  const { trained, frozen, dropoutMasks } = gradients;
  const update = writeUpdate({ build, trained, gradients: new Map(received), statistics, parameters }, options);
  const graphs = { forward: forward.finish(), update: build.finish(), exchanged };
  return {
    ...graphs,
    ...{ state: update.state, rateFactors: update.rateFactors },
    trained,
    frozen: frozen.map(weightEntry),
    dropoutMasks,
  };
}

function withoutGradientOutputs(graph: OpGraph): OpGraph {
  const outputs = [...graph.outputs].filter(([name]) => !name.startsWith(trainingNames.gradient("")));
  return { ...graph, outputs: new Map(outputs) };
}

/** The graph without unread parameters, such as moving statistics before their update. */
function withoutUnread(graph: OpGraph): OpGraph {
  const read = new Set(graph.operations.flatMap(({ inputs }) => inputs.map(({ name }) => name)));
  return { ...graph, parameters: graph.parameters.filter(({ name }) => read.has(name)) };
}

/** A moving statistic, and that of the batch. */
interface MovingStatistic {
  readonly weight: WeightSpec;
  readonly batch: Value;
  /** Share of the old value that is kept. */
  readonly momentum: number;
}

/** A network in training mode, up to the loss. */
export interface ForwardGraph {
  /** Outputs: loss and logits. */
  readonly graph: OpGraph;
  /** Output of each layer, channels first; with rounding, convolutions before a normalization have none. */
  readonly layerOutputs: ReadonlyMap<string, Value>;
  readonly trained: readonly WeightSpec[];
  /** Moving statistics of batch normalizations in training mode. */
  readonly statistics: readonly MovingStatistic[];
  readonly frozen: readonly WeightSpec[];
  readonly dropoutMasks: readonly { readonly mask: Value; readonly rate: number }[];
}

/**
 * Composes lower → loss.
 * @throws {UsageError} no weight trains.
 */
export function forwardGraph(network: Network, options: TrainingGraphOptions): ForwardGraph {
  const { batchSize, preprocessing, trainable = () => true, synchronizeBatchNormalization = false } = options;
  const specs = networkWeights(network);
  const trained = specs.filter((spec) => spec.trainable && trainable(spec));
  if (trained.length === 0) {
    throw new UsageError({
      where: `training of ${network.name}`,
      what: "all its weights are frozen",
      remedy: "Let at least one weight train.",
    });
  }
  const isTrained = new Set(trained);
  const { batchNorm = (layer) => (layer.weights.some((spec) => isTrained.has(spec)) ? "training" : "inference") } =
    options;
  const shared = { batchSize, preprocessing, outputs: [] };
  const lowered = options.quantization
    ? withRounding(lower(network, { ...shared, mode: "inference" }), options.quantization)
    : lower(network, { ...shared, mode: "training", batchNormMode: batchNorm, synchronizeBatchNormalization });
  // moving ← moving·momentum + batch·(1 − momentum), as Keras does, the variance being the biased one.
  const statistics = lowered.statistics.flatMap(({ layer, mean, variance }) => {
    const { momentum } = layer.config as ConfigOf<"BatchNormalization">;
    const of = (role: "movingMean" | "movingVariance", batch: Value): MovingStatistic => {
      return { weight: layer.weights.find((weight) => weight.role === role)!, batch, momentum };
    };
    return [of("movingMean", mean), of("movingVariance", variance)];
  });
  const changing = new Set([...trained, ...statistics.map(({ weight }) => weight)]);

  const build = new OpGraphBuilder(lowered.graph);
  const { logits, layerOutputs, dropoutMasks } = lowered;
  const targets = build.input(trainingNames.targets, logits.shape);
  const sampleWeights = options.sampleWeights && build.input(trainingNames.sampleWeights, [logits.shape[0]!]);
  build.output(trainingNames.loss, options.loss(build, logits, targets, sampleWeights || undefined));
  build.output(trainingNames.logits, logits);
  if (options.health) writeActivationHealth(build, network, layerOutputs);
  const frozen = specs.filter((spec) => !changing.has(spec));
  return { graph: build.finish(), layerOutputs, trained, statistics, frozen, dropoutMasks };
}

/** A network in inference mode with its weights and activations rounded. */
function withRounding(lowered: LoweredNetwork, quantization: Quantization): LoweredNetwork {
  const { graph, values } = fakeQuantize(lowered.graph, quantization);
  const outputs = [...lowered.layerOutputs].flatMap(([layer, { name }]) => {
    const value = values.get(name);
    return value ? [[layer, value] as const] : [];
  });
  return { ...lowered, graph, layerOutputs: new Map(outputs), logits: values.get(lowered.logits.name)! };
}

/** The first half of a training step: forward, loss, and gradients as outputs `gradient/<weight>`. */
interface GradientGraph extends ForwardGraph {
  /** By weight. */
  readonly gradients: ReadonlyMap<string, Value>;
}

/**
 * Composes lower → loss → gradient.
 * @throws {UsageError} no weight trains.
 */
function gradientGraph(network: Network, options: TrainingGraphOptions): GradientGraph {
  const forward = forwardGraph(network, options);
  const names = forward.trained.map(({ name }) => name);
  const { graph, gradients } = gradient(forward.graph, trainingNames.loss, names);
  const frugal = options.recompute ? recompute(graph, forward.graph.operations.length) : graph;
  return { ...forward, graph: frugal, gradients };
}

/** Inputs of an update; all values belong to the graph being built. */
interface UpdateInput {
  readonly build: OpGraphBuilder;
  readonly trained: readonly WeightSpec[];
  /** By weight. */
  readonly gradients: ReadonlyMap<string, Value>;
  readonly statistics: readonly MovingStatistic[];
  /** By weight: the trained ones and the moving statistics. */
  readonly parameters: ReadonlyMap<string, Value>;
}

/** Builds the second half of a training step: clip, optimizer, moving statistics, averages. */
function writeUpdate(input: UpdateInput, options: TrainingGraphOptions): Pick<StepInterface, "state" | "rateFactors"> {
  const { build, trained, statistics, parameters } = input;
  const { optimizer, decays = isKernel, rateFactor = () => 1, clip = {} } = options;
  const state: StateEntry[] = [];
  const share = options.averageDecay && build.input(trainingNames.averageShare, []);
  const replace = (entry: StateEntry, next: Value): void => {
    state.push(entry);
    build.output(trainingNames.next(entry.name), next);
  };
  const replaceWeight = (weight: WeightSpec, shape: readonly number[], next: Value): void => {
    replace({ name: weight.name, weight, shape }, next);
    if (!share) return;
    const average = build.parameter(`${weight.name}#${averageSlot}`, shape);
    const step = build.op({ kind: "multiply" }, [build.op({ kind: "subtract" }, [next, average]), share]);
    replace({ name: average.name, weight, slot: averageSlot, shape }, build.op({ kind: "add" }, [average, step]));
  };

  const squares = once(
    () => new Map([...input.gradients].map(([name, gradient]) => [name, sumOfSquares(build, gradient)])),
  );
  const norm = once(() => normOf(build, squares().values()));
  const gradients = clipGradients(build, input.gradients, clip, norm);
  if (options.gradientNorm || clip.norm !== undefined) build.output(trainingNames.gradientNorm, norm());
  if (options.health) {
    for (const [name, square] of squares()) build.output(trainingNames.gradientSquare(name), square);
  }
  const rateFactors = [...new Set(trained.map(rateFactor))];
  const scalars = new Map(
    rateFactors.map((factor) => {
      const names = Object.keys(optimizer.scalars(1, 1));
      return [factor, new Map(names.map((name) => [name, build.input(trainingNames.scalar(name, factor), [])]))];
    }),
  );
  for (const weight of trained) {
    const parameter = parameters.get(weight.name)!;
    const slots = optimizer.slots.map((slot) => build.parameter(`${weight.name}#${slot}`, parameter.shape));
    const updated = optimizer.update({
      build,
      parameter,
      slots,
      scalars: scalars.get(rateFactor(weight))!,
      gradient: gradients.get(weight.name)!,
      decays: decays(weight),
    });
    replaceWeight(weight, parameter.shape, updated.parameter);
    for (const [index, slot] of optimizer.slots.entries()) {
      const { name, shape } = slots[index]!;
      replace({ name, weight, slot, shape }, updated.slots[index]!);
    }
  }
  for (const { weight, batch, momentum } of statistics) {
    const moving = parameters.get(weight.name)!;
    const kept = build.op({ kind: "multiply" }, [moving, build.constant(momentum)]);
    const added = build.op({ kind: "multiply" }, [batch, build.constant(1 - momentum)]);
    replaceWeight(weight, moving.shape, build.op({ kind: "add" }, [kept, added]));
  }
  return { state, rateFactors };
}

function isKernel({ role }: WeightSpec): boolean {
  return role === "kernel" || role === "depthwiseKernel" || role === "pointwiseKernel" || role === "denseKernel";
}

function once<T>(create: () => T): () => T {
  let created: { readonly value: T } | undefined;
  return () => {
    created ??= { value: create() };
    return created.value;
  };
}
