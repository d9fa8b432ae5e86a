import { FormatError } from "../../base/errors.ts";
import { number, onOff, string } from "../../base/kinds.ts";
import { type Described, fitting, list, nullish, object, optional } from "../../base/schema.ts";
import type { Network } from "../../graph/network.ts";
import { countNumbers, countOperators, type GraphFacts } from "../../report/summary.ts";
import { type FileFormat, metadataKey } from "../format.ts";
import type { GraphStep, StepKind } from "../graph-parts.ts";
import { isObject } from "../keras/config.ts";
import { deepestNesting } from "../keras/file.ts";
import { kerasNetwork } from "../keras/network.ts";
import { type StoredLayer, type StoredWeight, shapesOf } from "../map-weights.ts";
import { matchGraph } from "../match-graph.ts";
import { signatures } from "../signatures.ts";
import { type ReadShard, readGroup, readTfjsManifest } from "./manifest.ts";

/** TensorFlow.js: a layers model or a graph model, `model.json` and the files it refers to. */
export const tfjsFormat: FileFormat = {
  ...signatures.tfjs,
  async read({ bytes, where, readBeside }) {
    const { kind, layers, weights, steps, graph, config, metadata } = await readTfjsModel(bytes, readBeside, where);
    return {
      format: `TF.js ${kind}`,
      layers: (network) => (steps && !hasNames(layers, network) ? matchGraph(steps, network, where) : { layers }),
      stored: () => (weights ? factsOf(weights) : shapesOf(layers)),
      ...(graph && { graph: () => graph }),
      metadata,
      ...kerasNetwork(config, where),
    };
  },
};

/** False for a graph whose normalizations are nowhere to be seen. */
function hasNames(layers: readonly StoredLayer[], network: Network): boolean {
  const named = new Set(layers.map(({ name }) => name));
  const normalizations = network.layers.filter(({ config }) => config.type === "BatchNormalization");
  return named.size > 0 && (normalizations.length === 0 || normalizations.some(({ name }) => named.has(name)));
}

/** Contents of a TensorFlow.js model. */
export interface TfjsModel {
  /** A graph model is a TensorFlow graph, in which layers appear at most in names. */
  readonly kind: "layers model" | "graph model";
  /** The layers that have weights; in the order of the network, if that is described. */
  readonly layers: readonly StoredLayer[];
  /** All weights of a graph model, in the order of the file; some may belong to no layer. */
  readonly weights?: readonly StoredWeight[];
  /** The operations of a graph model, if the file has them; they identify layers where names do not. */
  readonly steps?: readonly GraphStep<StoredWeight>[];
  /** The same operations, for summaries. */
  readonly graph?: GraphFacts;
  /** The network as Keras JSON, if the file has it. */
  readonly config?: string;
  /** Our JSON document, if we wrote the file. */
  readonly metadata?: string;
}

/**
 * Reads a TensorFlow.js model: a layers model of any writer, with the network's description if it has one, or the weights
 * of a graph model. A missing file makes the weights in it `absent`, nothing else.
 * @param json the `model.json`.
 * @param where its name in errors.
 * @throws {FormatError} it is no such model, damaged, or the weights of a graph model cannot be identified.
 */
export async function readTfjsModel(json: Uint8Array, read: ReadShard, where: string): Promise<TfjsModel> {
  const { modelTopology, userDefinedMetadata, weightsManifest, format } = readTfjsManifest(json, where);
  const weights: StoredWeight[] = [];
  for (const group of weightsManifest) weights.push(...(await readGroup(group, read, where)));
  const topology = modelTopology ?? {};
  const metadata = userDefinedMetadata?.[metadataKey];
  const about = typeof metadata === "string" ? { metadata } : {};
  if (format === "graph-model" || Array.isArray(topology.node)) return readGraph(weights, topology.node, where);
  const config = configOf(topology, where);
  // `block1_conv1` of `block1_conv1/kernel`; groups may be in alphabetical order.
  const layers = groupedByLayer(weights, (path) => path.split("/").at(-2) ?? path);
  if (config === undefined) return { kind: "layers model", layers, ...about };
  const order = new Map(namesIn(config).map((name, index) => [name, index]));
  const place = ({ name }: StoredLayer): number => order.get(name) ?? order.size;
  layers.sort((a, b) => place(a) - place(b));
  return { kind: "layers model", layers, config: JSON.stringify(config), ...about };
}

/** Groups weights by the name that `nameOf` gives them; those without one are omitted. */
function groupedByLayer(
  weights: readonly StoredWeight[],
  nameOf: (path: string) => string | undefined,
): { readonly name: string; readonly weights: StoredWeight[] }[] {
  const layers = new Map<string, StoredWeight[]>();
  for (const weight of weights) {
    const name = nameOf(weight.path);
    if (name === undefined) continue;
    const layer = layers.get(name);
    if (layer) layer.push(weight);
    else layers.set(name, [weight]);
  }
  return [...layers].map(([name, weights]) => ({ name, weights }));
}

/** The converter nests Keras's description; TensorFlow.js itself writes it directly; files of weights alone have none. */
function configOf(topology: Readonly<Record<string, unknown>>, where: string): object | undefined {
  const config = "class_name" in topology ? topology : topology.model_config;
  if (config === undefined || config === null) return undefined;
  if (isObject(config)) return config;
  throw new FormatError({
    where: `${where}, field modelTopology.model_config`,
    what: "the description of the network is not an object",
    received: typeof config,
  });
}

/** Names of the layers in order, those of nested models in their place. */
function namesIn(model: object, depth = 0): string[] {
  const body = isObject(model) && (isObject(model.config) ? model.config.layers : model.config);
  if (!Array.isArray(body) || depth > deepestNesting) return [];
  return body.filter(isObject).flatMap((layer) => {
    const name = isObject(layer.config) && typeof layer.config.name === "string" ? layer.config.name : layer.name;
    return [...(typeof name === "string" ? [name] : []), ...namesIn(layer, depth + 1)];
  });
}

/** The index of a weight in Keras's layer, by the operation that reads it. */
const places: readonly (readonly [operation: RegExp, place: number])[] = [
  [/^separable_conv2d\/ReadVariableOp$/, 0],
  [/^separable_conv2d\/ReadVariableOp_1$/, 1],
  [/^(Conv2D|MatMul)\/ReadVariableOp$/, 0],
  [/^BiasAdd\/ReadVariableOp$/, 2],
  [/^FusedBatchNorm(V\d)?\/ReadVariableOp$/, 2],
  [/^FusedBatchNorm(V\d)?\/ReadVariableOp_1$/, 3],
  [/^ReadVariableOp$/, 0],
  [/^ReadVariableOp_1$/, 1],
];

/**
 * Reads a graph model, whose weights are named after the operations that read them:
 * `StatefulPartitionedCall/xception/block1_conv1/Conv2D/ReadVariableOp`. Other constants of a graph (shapes, axes) are
 * ignored. Where the converter folded batch normalizations into convolutions, only the operations identify weights.
 * @throws {FormatError} neither names nor operations identify them, or an operation is damaged.
 */
function readGraph(weights: readonly StoredWeight[], nodes: unknown, where: string): TfjsModel {
  const isFolded = weights.some(({ path }) => path.endsWith("_bn_offset"));
  const layers = isFolded ? [] : groupedByLayer(weights, (path) => placeOf(path)?.layer);
  for (const layer of layers) layer.weights.sort((a, b) => placeOf(a.path)!.place - placeOf(b.path)!.place);
  if (Array.isArray(nodes) && nodes.length > 0) {
    const checked = nodes.map((node, index) => fitting(nodeSchema, node, `${where}, node ${index}`));
    const steps = graphSteps(checked, weights);
    return { kind: "graph model", layers, weights, steps, graph: graphFactsOf(checked, steps, weights) };
  }
  if (layers.length > 0) return { kind: "graph model", layers, weights };
  throw new FormatError({
    where,
    what: "neither operations nor names of this graph model identify the layers of its weights",
    received: weights.slice(0, 3).map(({ path }) => path),
    expected: "nodes, or names like model/block1_conv1/Conv2D/ReadVariableOp",
    remedy: "Convert the model it was made from: the Keras file, or a layers model.",
  });
}

function placeOf(path: string): { readonly layer: string; readonly place: number } | undefined {
  const parts = path.split("/");
  for (const length of [2, 1]) {
    const operation = parts.slice(-length).join("/");
    const layer = parts.at(-length - 1);
    const place = places.find(([known]) => known.test(operation))?.[1];
    if (place !== undefined && layer) return { layer, place };
  }
  return undefined;
}

/** A 64-bit integer; in JSON a text, as Protocol Buffers write it, or a number. */
const integer = {
  accept: (value: unknown) => number().accept(typeof value === "string" ? Number(value) : value),
  expected: "a number",
};
const shape = object({ dim: optional(list(object({ size: integer }))) });
const flag = object({ b: nullish(onOff()) });
const nodeSchema = object({
  name: string,
  op: string,
  input: nullish(list(string)),
  attr: nullish(object({ transpose_b: nullish(flag), shape: nullish(object({ shape })) })),
});

type GraphNode = Described<typeof nodeSchema>;

const kinds: Readonly<Record<string, StepKind>> = {
  Conv2D: "convolution",
  _FusedConv2D: "convolution",
  DepthwiseConv2dNative: "depthwise",
  FusedDepthwiseConv2dNative: "depthwise",
  MatMul: "dense",
  _FusedMatMul: "dense",
  FusedBatchNorm: "normalization",
  FusedBatchNormV2: "normalization",
  FusedBatchNormV3: "normalization",
  Mul: "scale",
  BiasAdd: "offset",
  Add: "offset",
  AddV2: "offset",
  Identity: "view",
};

/** The operations of a TensorFlow graph, whose kernels are in Keras's layout. */
function graphSteps(nodes: readonly GraphNode[], weights: readonly StoredWeight[]) {
  const stored = new Map(weights.map((weight) => [weight.path, weight]));
  for (const { op, name, input } of nodes) {
    // Variables turned into constants may be read through these.
    const source = op === "Identity" ? stored.get(resultOf(input?.[0] ?? "")) : undefined;
    if (source) stored.set(name, source);
  }
  return nodes.map((node) => stepOf(node, stored));
}

/** Lists inputs, outputs, operators and nodes of a graph; shapes of results are not in the file. */
function graphFactsOf(
  nodes: readonly GraphNode[],
  steps: readonly GraphStep<StoredWeight>[],
  weights: readonly StoredWeight[],
): GraphFacts {
  const read = new Set(nodes.flatMap(({ input }) => (input ?? []).map((each) => resultOf(each.replace(/^\^/, "")))));
  const operations = nodes.flatMap(({ name, op }, index) => {
    if (op === "Const" || op === "NoOp" || op === "Placeholder") return [];
    const { inputs, weights: own } = steps[index]!;
    return [{ name, operator: op, outputShape: null, params: countNumbers(factsOf(own)), inbound: inputs }];
  });
  const shapeOf = ({ attr }: GraphNode) => attr?.shape?.shape.dim?.map(({ size }) => (size < 0 ? "?" : size)) ?? null;
  const placeholders = nodes.filter(({ op }) => op === "Placeholder");
  const ends = operations.filter(({ name }) => !read.has(name));
  return {
    inputs: placeholders.map((node) => ({ name: node.name, shape: shapeOf(node) })),
    outputs: ends.map(({ name }) => ({ name, shape: null })),
    operators: countOperators(operations),
    params: countNumbers(factsOf(weights)),
    nodes: operations,
  };
}

function factsOf(weights: readonly StoredWeight[]) {
  return shapesOf([{ name: "", weights }]);
}

function stepOf(
  { op, name, input, attr }: GraphNode,
  stored: ReadonlyMap<string, StoredWeight>,
): GraphStep<StoredWeight> {
  const read = (input ?? []).filter((each) => !each.startsWith("^")).map(resultOf);
  const inputs = read.filter((each) => !stored.has(each));
  const weights = read.flatMap((each) => stored.get(each) ?? []);
  const kind = kinds[op] ?? "other";
  const isTransposed = attr?.transpose_b?.b === true;
  const isPlain = (kind !== "scale" && kind !== "offset") || (weights.length === 1 && isVector(weights[0]!));
  const hasWeights = weights.length > 0 || kind === "view";
  return { inputs, outputs: [name], weights, kind: hasWeights && isPlain && !isTransposed ? kind : "other" };
}

/** `conv` of `conv:0`, its first output. */
function resultOf(input: string): string {
  return input.replace(/:\d+$/, "");
}

function isVector({ tensor }: StoredWeight): boolean {
  return tensor === undefined || tensor.shape.length === 1;
}
