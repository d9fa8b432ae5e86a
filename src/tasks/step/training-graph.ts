import type { WeightSpec } from "../../graph/layer-weights.ts";
import type { Network } from "../../graph/network.ts";
import { OpGraphBuilder } from "../../graph/op-builder.ts";
import type { OpGraph, Value } from "../../graph/ops.ts";
import { type GradientGraph, gradientGraph } from "./training-gradients.ts";
import { type TrainingGraphOptions, trainingNames } from "./training-graph-options.ts";
import { type StateEntry, weightEntry } from "./training-state.ts";
import { type WrittenUpdate, writeUpdate } from "./training-update.ts";

/** What a training step reads and replaces, whether it is one graph or two. */
export interface StepInterface {
  /** What each step replaces. */
  readonly state: readonly StateEntry[];
  /** Weights that the step reads but never changes. */
  readonly frozen: readonly StateEntry[];
  /** Weights that the optimizer moves. */
  readonly trained: readonly WeightSpec[];
  /** Factors of the learning rate, for each of which the optimizer's numbers are fed. */
  readonly rateFactors: readonly number[];
  readonly dropoutMasks: readonly { readonly mask: Value; readonly rate: number }[];
}

/** One training step as one graph: forward, loss, gradients, new weights. */
export interface TrainingGraph extends StepInterface {
  readonly graph: OpGraph;
}

/** A training step as two graphs, between which gradients can be summed up or exchanged. */
export interface SplitTrainingGraph extends StepInterface {
  /** Forward, loss, gradients. */
  readonly forward: OpGraph;
  /** New weights. Inputs: what `exchanged` names. */
  readonly update: OpGraph;
  /** Outputs of `forward` that are inputs of `update`: gradients, and the batch's statistics. */
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
  return { graph: build.finish(), ...stepInterface(gradients, update) };
}

/**
 * Composes lower → loss → gradient, and apart from it the update.
 * @throws {UsageError} as {@link trainingGraph}.
 */
export function splitTrainingGraph(network: Network, options: TrainingGraphOptions): SplitTrainingGraph {
  const gradients = gradientGraph(network, options);
  const forward = new OpGraphBuilder(withoutUnread(gradients.graph));
  const build = new OpGraphBuilder();
  const exchanged: Value[] = [];
  const exchange = (name: string, value: Value): Value => {
    const input = build.input(name, value.shape);
    exchanged.push(input);
    return input;
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
  const operands = { build, trained: gradients.trained, gradients: new Map(received), statistics, parameters };
  const update = writeUpdate(operands, options);
  const graphs = { forward: forward.finish(), update: build.finish() };
  return { ...graphs, exchanged, ...stepInterface(gradients, update) };
}

function stepInterface({ trained, frozen, dropoutMasks }: GradientGraph, update: WrittenUpdate): StepInterface {
  return { ...update, trained, frozen: frozen.map(weightEntry), dropoutMasks };
}

function withoutGradientOutputs(graph: OpGraph): OpGraph {
  const outputs = [...graph.outputs].filter(([name]) => !name.startsWith(trainingNames.gradient("")));
  return { ...graph, outputs: new Map(outputs) };
}

/** The graph without parameters that no operator reads, as moving statistics before they are updated. */
function withoutUnread(graph: OpGraph): OpGraph {
  const read = new Set(graph.operations.flatMap(({ inputs }) => inputs.map(({ name }) => name)));
  return { ...graph, parameters: graph.parameters.filter(({ name }) => read.has(name)) };
}
