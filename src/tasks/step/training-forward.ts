import { lower } from "../../compiler/lower.ts";
import { UsageError } from "../../errors.ts";
import type { WeightSpec } from "../../graph/layer-weights.ts";
import type { ConfigOf } from "../../graph/layers.ts";
import { type Network, networkWeights } from "../../graph/network.ts";
import { OpGraphBuilder } from "../../graph/op-builder.ts";
import type { OpGraph, Value } from "../../graph/ops.ts";
import { type TrainingGraphOptions, trainingNames } from "./training-graph-options.ts";
import { writeActivationHealth } from "./training-health.ts";

/** A moving statistic, and what the batch has to say about it. */
export interface MovingStatistic {
  readonly weight: WeightSpec;
  readonly batch: Value;
  /** Share of the old value that is kept. */
  readonly momentum: number;
}

/** A network in training mode, up to the loss. */
export interface ForwardGraph {
  /** Outputs: loss and logits. */
  readonly graph: OpGraph;
  /** Output of each layer, channels first. */
  readonly layerOutputs: ReadonlyMap<string, Value>;
  /** The weights that the optimizer moves. */
  readonly trained: readonly WeightSpec[];
  /** Of batch normalizations in training mode. */
  readonly statistics: readonly MovingStatistic[];
  /** Weights that stay as they are. */
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
  const lowered = lower(network, {
    mode: "training",
    batchNormMode: batchNorm,
    batchSize,
    preprocessing,
    outputs: [],
    synchronizeBatchNormalization,
  });
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
