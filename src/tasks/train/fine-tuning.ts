import { UsageError } from "../../errors.ts";
import type { WeightSpec } from "../../graph/layer-weights.ts";
import type { Layer, Network } from "../../graph/network.ts";
import { blocksOf, layerAt, topBlock } from "../../models/parts.ts";
import { weightMatcher } from "../../weights/map-weights.ts";
import type { TrainOptions } from "./options.ts";

/** Which weights train, how fast, and what batch normalization goes by. */
export interface FineTuningChoice {
  /** Layer or block from which on weights train; `last`: the last block, `top`: the classifier alone. Default: all do. */
  readonly unfreezeFrom?: string | undefined;
  /** Patterns of weights or layers that do not train. */
  readonly freeze?: string | undefined;
  /** Patterns of weights or layers that train, whatever else is said. */
  readonly train?: string | undefined;
  /** Learning rate of a block, divided by that of the block after it; the top has the full rate. Default 1. */
  readonly layerDecay?: number;
  /** `auto`: moving statistics where they were given and not drawn anew, else those of the batch. Default `auto`. */
  readonly batchNorm?: "auto" | "training" | "inference";
}

/** What was given to start from. */
export interface FineTuningStart {
  /** Weights that start anew; undefined: all do. */
  readonly anew: readonly string[] | undefined;
  /** Images that a batch normalization sees at a time. */
  readonly batchSize: number;
}

export interface FineTuning extends Pick<TrainOptions, "trainable" | "batchNorm" | "rateFactor"> {
  /** What a user should be warned of, in sentences. */
  readonly warnings: readonly string[];
}

/** Below this, statistics of a batch are noise rather than knowledge. */
const smallBatch = 32;

/**
 * Options of `train` for fine-tuning; none for a training from scratch in which everything trains.
 * @throws {UsageError} there is no such layer, or a pattern fits no weight.
 */
export function fineTuning(network: Network, choice: FineTuningChoice, start: FineTuningStart): FineTuning {
  const { layerDecay = 1, batchNorm = "auto" } = choice;
  const trainable = trainableBy(network, choice);
  const anew = new Set(start.anew);
  const isGiven = ({ weights }: Layer) => start.anew !== undefined && weights.every(({ name }) => !anew.has(name));
  const trains = ({ weights }: Layer) => weights.some((spec) => spec.trainable && (trainable?.(spec) ?? true));
  const normalizesByBatch = (layer: Layer) => {
    if (batchNorm === "inference" || !trains(layer)) return false;
    return batchNorm === "training" || !isGiven(layer);
  };
  const layers = network.layers.filter(({ config }) => config.type === "BatchNormalization");
  const moving = layers.filter((layer) => isGiven(layer) && normalizesByBatch(layer));
  const isDefault = batchNorm === "auto" && start.anew === undefined;
  return {
    ...(trainable && { trainable }),
    ...(!isDefault && { batchNorm: (layer) => (normalizesByBatch(layer) ? "training" : "inference") }),
    ...(layerDecay !== 1 && { rateFactor: layerWiseRate(network, layerDecay, trainable) }),
    warnings:
      moving.length > 0 && start.batchSize < smallBatch
        ? [
            `${moving.length} batch normalizations follow batches of ${start.batchSize} images, which spoils the statistics ` +
              "that they were given: leave --batch-norm training out, or take larger batches.",
          ]
        : [],
  };
}

function trainableBy(network: Network, choice: FineTuningChoice): ((spec: WeightSpec) => boolean) | undefined {
  const { unfreezeFrom, freeze, train } = choice;
  if (unfreezeFrom === undefined && freeze === undefined && train === undefined) return undefined;
  const open = new Set<string>();
  const first = unfreezeFrom === undefined ? 0 : firstIndexOf(network, unfreezeFrom);
  const freezes = patternOf("freeze", freeze, network);
  const trains = patternOf("train", train, network);
  for (const [index, { name: layer, weights }] of network.layers.entries()) {
    for (const { name } of weights) {
      if (trains(name, layer) || (index >= first && !freezes(name, layer))) open.add(name);
    }
  }
  return ({ name }) => open.has(name);
}

/** Place of the layer, or of the block's first one. */
function firstIndexOf(network: Network, place: string): number {
  const blocks = blocksOf(network);
  if (place === "last") {
    const last = [...blocks.values()].findLast((block) => block !== topBlock)!;
    return network.layers.findIndex(({ name }) => blocks.get(name) === last);
  }
  const last = layerAt(network, place);
  if (last.name === place) return network.layers.indexOf(last);
  return network.layers.findIndex(({ name }) => blocks.get(name) === place);
}

function patternOf(
  option: string,
  patterns: string | undefined,
  { name: where, layers }: Network,
): (weight: string, layer: string) => boolean {
  if (patterns === undefined) return () => false;
  for (const pattern of patterns.split(",")) {
    const fits = weightMatcher(pattern);
    if (layers.some(({ name, weights }) => weights.some((weight) => fits(weight.name) || fits(name)))) continue;
    throw new UsageError({
      where: `fine-tuning option ${option}`,
      what: `network "${where}" has no weight of this name`,
      received: pattern,
      expected: "names or patterns like block13_*, predictions/kernel",
    });
  }
  const matches = weightMatcher(patterns);
  return (weight, layer) => matches(weight) || matches(layer);
}

/** The rate falls by a factor from block to block, counted from the top; blocks in which nothing trains do not count. */
function layerWiseRate(
  network: Network,
  decay: number,
  trainable: (spec: WeightSpec) => boolean = () => true,
): (spec: WeightSpec) => number {
  const blocks = blocksOf(network);
  const open = network.layers.filter(({ weights }) => weights.some((spec) => spec.trainable && trainable(spec)));
  const inOrder = [...new Set(open.map(({ name }) => blocks.get(name)!))].filter((block) => block !== topBlock);
  const factors = new Map(inOrder.toReversed().map((block, index) => [block, decay ** (index + 1)]));
  const byWeight = new Map(
    network.layers.flatMap(({ name, weights }) =>
      weights.map((spec) => [spec.name, factors.get(blocks.get(name)!) ?? 1] as const),
    ),
  );
  return ({ name }) => byWeight.get(name)!;
}
