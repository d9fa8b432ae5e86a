import { GraphError } from "../base/errors.ts";
import { input, type LayerOutput, layer } from "../graph/builder.ts";
import { type LayerConfig, mergingLayers } from "../graph/layers.ts";
import { namedPadding } from "../graph/named-padding.ts";
import { type Network, network } from "../graph/network.ts";

/** A network as a list of layers, from which shapes and weights follow. */
export interface LayerList {
  /** Name of the network. */
  readonly name: string;
  /** Layers in topological order, starting with the input. */
  readonly layers: readonly ListedLayer[];
  /** Name of the output layer. */
  readonly output: string;
  /** Seed of the initial weights. */
  readonly seed: number;
}

/** One layer of a {@link LayerList}. */
export interface ListedLayer {
  readonly name: string;
  readonly config: LayerConfig;
  /** Names of its inbound layers. */
  readonly inbound: readonly string[];
}

/** Converts a network to a list of layers; `networkOfLayers` is the inverse. */
export function layersOf({ name, layers, output, seed }: Network): LayerList {
  return { name, layers: layers.map(({ name, config, inbound }) => ({ name, config, inbound })), output, seed };
}

/**
 * Builds the network described by a list of layers.
 * @throws {GraphError} a layer reads a later one, there is not exactly one input, or a layer does not lead to the
 * output.
 * @throws {UsageError} a name is duplicated, or an option is invalid.
 * @throws {ShapeError} a layer's input does not fit it.
 */
export function networkOfLayers({ name, layers, output, seed }: LayerList): Network {
  const where = `network "${name}"`;
  const outputs = new Map<string, LayerOutput>();
  const outputOf = (layerName: string, reader: string): LayerOutput => {
    const found = outputs.get(layerName);
    if (found) return found;
    throw new GraphError({ where, what: `${reader} reads "${layerName}", which is not an earlier layer` });
  };
  for (const [index, { name: layerName, config, inbound }] of layers.entries()) {
    const [first, ...others] = inbound.map((source) => outputOf(source, `layer "${layerName}"`));
    if ((index === 0) !== (config.type === "InputLayer") || (index === 0) !== (first === undefined)) {
      throw new GraphError({
        where,
        what: `layer "${layerName}" has ${inbound.length} inputs as layer ${index + 1}`,
        expected: "an InputLayer as the first layer and nowhere else, and all others with inputs",
      });
    }
    if (others.length > 0 && !mergingLayers.has(config.type)) {
      throw new GraphError({ where, what: `layer "${layerName}" has ${inbound.length} inputs`, expected: "one" });
    }
    const made =
      config.type === "InputLayer"
        ? input(config.shape, { name: layerName })
        : layer([first!, ...others], config, layerName);
    outputs.set(layerName, made);
  }
  const built = network(name, outputOf(output, "its output"), seed);
  if (built.layers.length === layers.length) return built;
  const used = new Set(built.layers.map((each) => each.name));
  const unused = layers.find((each) => !used.has(each.name))!;
  throw new GraphError({ where, what: `nothing leads from layer "${unused.name}" to the output "${output}"` });
}

/**
 * Returns whether two networks compute the same with the same weights: equal layers and connections, under any names. A
 * ReLU equals an activation, and explicit padding the named one with the same effect.
 */
export function sameLayers(a: Network, b: Network): boolean {
  return a.layers.length === b.layers.length && wiring(a) === wiring(b);
}

function wiring({ layers, output }: Network): string {
  const index = new Map(layers.map(({ name }, position) => [name, position]));
  const described = layers.map(({ config, inbound }) => [
    sorted(plain(config)),
    inbound.map((name) => index.get(name)),
  ]);
  return JSON.stringify([described, index.get(output)]);
}

function plain(config: LayerConfig): LayerConfig {
  if (config.type === "ReLU") return { type: "Activation", activation: "relu" };
  if (!("padding" in config) || config.type === "ZeroPadding2D") return config;
  const window = "poolSize" in config ? config.poolSize : config.kernelSize;
  return { ...config, padding: namedPadding(config.padding, window, config.strides) ?? config.padding };
}

function sorted(config: object): object {
  return Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The layers up to layer `end` as a network of their own; no other layer may lead around it. */
export function partUpTo(network: Network, end: number): Network {
  const { layers, ...rest } = layersOf(network);
  const kept = layers.slice(0, end + 1);
  return networkOfLayers({ ...rest, name: `${network.name} backbone`, layers: kept, output: kept[end]!.name });
}

/** The layers after layer `end` as a network of their own; they must depend on nothing else before it. */
export function partAfter(network: Network, end: number): Network {
  const { layers, ...rest } = layersOf(network);
  const [last, ...others] = layers.slice(end);
  const shape = network.layers[end]!.outputShape;
  const input = { name: last!.name, config: { type: "InputLayer", shape } as const, inbound: [] };
  return networkOfLayers({ ...rest, name: `${network.name} head`, layers: [input, ...others] });
}
