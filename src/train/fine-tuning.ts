import { UsageError } from "../base/errors.ts";
import type { Mixing } from "../data/mixing.ts";
import { weightMatcher } from "../formats/map-weights.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import type { Layer, Network } from "../graph/network.ts";
import { blocksOf, layerAt, topBlock } from "../models/parts.ts";
import type { Settings } from "./settings/settings.ts";
import { changing, frozenEnd } from "./step/frozen-backbone.ts";
import type { TrainingGraphOptions } from "./step/training-graph-options.ts";

/** Fine-tuning settings: which weights train, how fast, and the mode of batch normalization. */
export type FineTuningChoice = Partial<
  Pick<Settings, "unfreezeFrom" | "freeze" | "train" | "layerDecay" | "batchNorm">
>;

/** The initial weights, and the batch size. */
export interface FineTuningStart {
  /** Weights that are reinitialized; undefined: all. */
  readonly reinitialized: readonly string[] | undefined;
  /** Images normalized together. */
  readonly batchSize: number;
}

/** Resolved fine-tuning: which weights train, and how. */
export interface FineTuning extends Pick<TrainingGraphOptions, "trainable" | "batchNorm" | "rateFactor"> {
  /** Warnings for the user, in sentences. */
  readonly warnings: readonly string[];
}

/** Below this, batch statistics are too noisy. */
const smallBatch = 32;

/**
 * Resolves fine-tuning settings; returns no options for training from scratch in which everything trains.
 * @throws {UsageError} there is no such layer, or a pattern matches no weight.
 */
export function fineTuning(network: Network, choice: FineTuningChoice, start: FineTuningStart): FineTuning {
  const { layerDecay = 1, batchNorm = "auto" } = choice;
  const trainable = trainableBy(network, choice);
  const reinitialized = new Set(start.reinitialized);
  const isGiven = ({ weights }: Layer) =>
    start.reinitialized !== undefined && weights.every(({ name }) => !reinitialized.has(name));
  const trains = ({ weights }: Layer) => weights.some((spec) => spec.trainable && (trainable?.(spec) ?? true));
  const normalizesByBatch = (layer: Layer) => {
    if (batchNorm === "inference" || !trains(layer)) return false;
    return batchNorm === "training" || !isGiven(layer);
  };
  const layers = network.layers.filter(({ config }) => config.type === "BatchNormalization");
  const moving = layers.filter((layer) => isGiven(layer) && normalizesByBatch(layer));
  const isDefault = batchNorm === "auto" && start.reinitialized === undefined;
  return {
    ...(trainable && { trainable }),
    ...(!isDefault && { batchNorm: (layer) => (normalizesByBatch(layer) ? "training" : "inference") }),
    ...(layerDecay !== 1 && { rateFactor: layerWiseRate(network, layerDecay, trainable) }),
    warnings:
      moving.length > 0 && start.batchSize < smallBatch
        ? [
            `${moving.length} batch normalizations use the statistics of batches of ${start.batchSize} images, which spoils ` +
              "their pretrained moving statistics: leave out --batch-norm training, or use larger batches.",
          ]
        : [],
  };
}

/** @throws {UsageError} no layers are frozen before those that train, or images are mixed. */
export function assertCacheable(
  where: string,
  views: number,
  network: Network,
  { mixup = 0, cutMix = 0, ...training }: Mixing & Pick<TrainingGraphOptions, "trainable" | "batchNorm">,
): void {
  const isMixed = mixup > 0 || cutMix > 0;
  if (!isMixed && frozenEnd(network, changing(training)) !== undefined) return;
  throw new UsageError({
    where,
    what: isMixed ? "mixed images are not repeated" : "no layers are frozen before those that train",
    received: views,
    remedy: isMixed ? "Leave out mixup and CutMix." : "Freeze the first layers, e.g. all before the last block.",
  });
}

function trainableBy(network: Network, choice: FineTuningChoice): ((spec: WeightSpec) => boolean) | undefined {
  const { unfreezeFrom = null, freeze = null, train = null } = choice;
  if (unfreezeFrom === null && freeze === null && train === null) return undefined;
  const open = new Set<string>();
  const first = unfreezeFrom === null ? 0 : firstIndexOf(network, unfreezeFrom);
  const freezes = patternOf("freeze", freeze, network);
  const trains = patternOf("train", train, network);
  for (const [index, { name: layer, weights }] of network.layers.entries()) {
    for (const { name } of weights) {
      if (trains(name, layer) || (index >= first && !freezes(name, layer))) open.add(name);
    }
  }
  return ({ name }) => open.has(name);
}

/** Index of a layer, or of a block's first one. */
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
  patterns: string | null,
  { name: where, layers }: Network,
): (weight: string, layer: string) => boolean {
  if (patterns === null) return () => false;
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

/** The rate decays from block to block, from the top down; blocks in which nothing trains do not count. */
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
