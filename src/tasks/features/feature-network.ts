import { UsageError } from "../../base/errors.ts";
import type { Layer, Network } from "../../graph/network.ts";
import { featureStages, isFeatureMap, lastMapOf } from "../../models/feature-stages.ts";

/** Global average or max pooling. */
export type Pooling = "avg" | "max";

/** Choice of feature maps; default: the last one, which global pooling reads in a classifier. */
export interface FeatureChoice {
  /** Names of layers. */
  readonly layers?: readonly string[] | undefined;
  /** Stages, instead of `layers`: 1 is the last feature map at stride 2, 2 at stride 4, … 5 at stride 32. */
  readonly stages?: readonly number[] | undefined;
  /** Reduces each channel to one number. Default: no pooling. */
  readonly pooling?: Pooling | undefined;
}

/** The part of a network that computes the requested feature maps. */
export interface FeatureNetwork {
  readonly network: Network;
  /** Names of the requested layers, in the order of the request. */
  readonly layers: readonly string[];
  /** For each of them the layer with the result: itself, or its pooling. */
  readonly outputs: readonly string[];
}

/**
 * Truncates a network to the requested layers and appends the pooling.
 * @throws {UsageError} a layer or stage does not exist, nothing is requested, or the output to pool is not feature
 * maps.
 */
export function featureNetwork(network: Network, choice: FeatureChoice): FeatureNetwork {
  const layers = chosenLayers(network, choice);
  const all = new Map(network.layers.map((layer) => [layer.name, layer]));
  const needed = new Set(layers);
  for (const layer of network.layers.toReversed()) {
    if (needed.has(layer.name)) for (const source of layer.inbound) needed.add(source);
  }
  const { pooling } = choice;
  const kept = network.layers.filter(({ name }) => needed.has(name));
  const poolings = pooling ? [...new Set(layers)].map((name) => poolingOf(all.get(name)!, pooling)) : [];
  const outputs = pooling ? layers.map((name) => poolingName(name, pooling)) : layers;
  return { network: { ...network, layers: [...kept, ...poolings], output: outputs[0]! }, layers, outputs };
}

function chosenLayers(network: Network, { layers, stages }: FeatureChoice): readonly string[] {
  if (layers !== undefined && stages !== undefined) {
    throw new UsageError({ where: "features", what: "maps are chosen by layer or by stage, not by both" });
  }
  const chosen = layers ?? stages?.map((stage) => layerOfStage(network, stage)) ?? [lastMapOf(network)];
  if (chosen.length === 0) {
    throw new UsageError({
      where: "features",
      what: "no feature map is requested",
      expected: "names of layers, numbers of stages, or neither for the last map",
    });
  }
  for (const name of chosen) {
    if (network.layers.some((layer) => layer.name === name)) continue;
    throw new UsageError({
      where: "features option layers",
      what: `network "${network.name}" has no such layer`,
      received: name,
      expected: `one of its ${network.layers.length} layers, e.g. ${lastMapOf(network)}`,
      remedy: "`xception summary` lists those of Xception.",
    });
  }
  return chosen;
}

function layerOfStage(network: Network, wanted: number): string {
  const stages = featureStages(network);
  const found = stages.find(({ stage }) => stage === wanted);
  if (found) return found.layer;
  throw new UsageError({
    where: "features option stages",
    what: `network "${network.name}" has no such stage`,
    received: wanted,
    expected: stages.map(({ stage, stride }) => `${stage} (stride ${stride})`).join(", "),
  });
}

/** A layer name that no other tool uses. */
function poolingName(layer: string, pooling: Pooling): string {
  return `${layer}|${pooling}`;
}

function poolingOf(layer: Layer, pooling: Pooling): Layer {
  if (!isFeatureMap(layer)) {
    throw new UsageError({
      where: "features option pooling",
      what: `layer "${layer.name}" has no feature maps to pool`,
      received: layer.outputShape,
      expected: "[height, width, channels]",
    });
  }
  const type = pooling === "avg" ? "GlobalAveragePooling2D" : "GlobalMaxPooling2D";
  const outputShape = [layer.outputShape[2]!];
  return { name: poolingName(layer.name, pooling), config: { type }, inbound: [layer.name], outputShape, weights: [] };
}
