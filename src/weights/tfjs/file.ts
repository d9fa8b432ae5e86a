import { FormatError } from "../../errors.ts";
import { isObject } from "../keras/inbound.ts";
import { metadataKey } from "../metadata-key.ts";
import type { StoredLayer, StoredWeight } from "../stored-layers.ts";
import { readTfjsGraph, type TfjsGraph } from "./graph.ts";
import { readTfjsManifest, type TfjsManifest } from "./manifest.ts";
import { type ReadShard, readGroup } from "./shards.ts";
import { valuesOf } from "./values.ts";

/** Models within models deeper than this are a file that holds itself. */
const deepestNesting = 8;

/** What a model of TF.js holds. */
export interface TfjsModel {
  /** A graph model is a graph of TensorFlow, in which layers show in names at most. */
  readonly kind: "layers model" | "graph model";
  /** The layers that have weights; in the order of the network, if that is described. */
  readonly layers: readonly StoredLayer[];
  /** The operations of a graph model, if the file has them; where names do not tell layers, these may. */
  readonly steps?: TfjsGraph["steps"];
  /** The network as JSON of Keras, if it is in the file. */
  readonly config?: string;
  /** Our JSON document, if we wrote the file. */
  readonly metadata?: string;
}

/**
 * Reads a model of TF.js: a layers model of whichever writer, with the network's description if it has one, or the weights
 * of a graph model. Files beside it that are not there make the weights in them `absent`, nothing else.
 * @param json the `model.json`.
 * @param where what errors call it.
 * @throws {FormatError} it is no such model, damaged, or nothing tells what the weights of a graph model are.
 */
export async function readTfjsModel(json: Uint8Array, read: ReadShard, where: string): Promise<TfjsModel> {
  const manifest = readTfjsManifest(new TextDecoder().decode(json), where);
  const weights = await readWeights(manifest, read, where);
  const topology = manifest.modelTopology ?? {};
  const said = manifest.userDefinedMetadata?.[metadataKey];
  const about = typeof said === "string" ? { metadata: said } : {};
  if (manifest.format === "graph-model" || Array.isArray(topology.node)) {
    return { kind: "graph model", ...readTfjsGraph(weights, topology.node, where) };
  }
  const config = configOf(topology, where);
  const layers = byLayer(weights);
  if (config === undefined) return { kind: "layers model", layers, ...about };
  const order = new Map(namesIn(config).map((name, index) => [name, index]));
  const place = ({ name }: StoredLayer): number => order.get(name) ?? order.size;
  layers.sort((a, b) => place(a) - place(b));
  return { kind: "layers model", layers, config: JSON.stringify(config), ...about };
}

async function readWeights({ weightsManifest }: TfjsManifest, read: ReadShard, where: string): Promise<StoredWeight[]> {
  const all: StoredWeight[] = [];
  for (const group of weightsManifest) {
    const { weights, absent } = await readGroup(group, read, where);
    group.weights.forEach((weight, index) => {
      const bytes = weights[index];
      const path = weight.name;
      all.push(bytes ? { path, tensor: valuesOf(weight, bytes) } : { path, absent });
    });
  }
  return all;
}

/** `block1_conv1/kernel` is one of `block1_conv1`; groups may be in the order of the alphabet. */
function byLayer(weights: readonly StoredWeight[]): StoredLayer[] {
  const layers = new Map<string, StoredWeight[]>();
  for (const weight of weights) {
    const name = weight.path.split("/").slice(0, -1).at(-1) ?? weight.path;
    const layer = layers.get(name);
    if (layer) layer.push(weight);
    else layers.set(name, [weight]);
  }
  return [...layers].map(([name, weights]) => ({ name, weights }));
}

/** The converter puts Keras's description beside others; TF.js itself writes it alone; files of weights alone have none. */
function configOf(topology: Readonly<Record<string, unknown>>, where: string): object | undefined {
  const config = "class_name" in topology ? topology : topology.model_config;
  if (config === undefined || config === null) return undefined;
  if (isObject(config)) return config;
  throw new FormatError({
    where: `${where}, field modelTopology.model_config`,
    what: "the description of the network is no object",
    received: typeof config,
  });
}

/** Names of the layers in their order, those of models within the model at their place. */
function namesIn(model: object, depth = 0): string[] {
  const body = isObject(model) && (isObject(model.config) ? model.config.layers : model.config);
  if (!Array.isArray(body) || depth > deepestNesting) return [];
  return body.filter(isObject).flatMap((layer) => {
    const name = isObject(layer.config) && typeof layer.config.name === "string" ? layer.config.name : layer.name;
    return [...(typeof name === "string" ? [name] : []), ...namesIn(layer, depth + 1)];
  });
}
