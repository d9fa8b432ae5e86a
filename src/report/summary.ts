import { printableLine } from "../base/printable.ts";
import { countParameters, type Network, networkWeights, type ParameterCount } from "../graph/network.ts";
import { type Shape, sizeOf } from "../tensor/shape.ts";
import { numberColumn, type TableColumn } from "./document.ts";
import { asMemory, counted, withCommas } from "./numbers.ts";
import { textTable } from "./text.ts";

/** A network in the terms of Keras's `model.summary()`, as plain data. */
export interface SummaryJson {
  readonly name: string;
  readonly layers: readonly {
    readonly name: string;
    /** Keras's class name, e.g. `SeparableConv2D`. */
    readonly type: string;
    /** Without the batch axis, channels last: `[height, width, channels]` or `[features]`. */
    readonly outputShape: Shape;
    readonly params: number;
    /** Names of the layers it reads. */
    readonly inbound: readonly string[];
  }[];
  readonly params: ParameterCount;
}

/** Summarizes a network as data: the rows of {@link summarize}. */
export function summaryJson(network: Network): SummaryJson {
  return {
    name: network.name,
    layers: network.layers.map(({ name, config, outputShape, weights, inbound }) => ({
      name,
      type: config.type,
      outputShape,
      params: countParameters(weights).total,
      inbound,
    })),
    params: countParameters(networkWeights(network)),
  };
}

/**
 * Summarizes a network as text, like Keras's `model.summary()`: one row for each layer, then the parameters and their size
 * as 32-bit floats.
 * @param options.width of the table in characters, default 100; long cells are wrapped.
 */
export function summarize(network: Network, options: { readonly width?: number } = {}): string {
  const { name, layers, params } = summaryJson(network);
  const rows = layers.map(({ outputShape, ...layer }) => [
    `${layer.name} (${layer.type})`,
    `(${["None", ...outputShape].join(", ")})`,
    ...[withCommas(layer.params), layer.inbound.join(", ") || "-"],
  ]);
  return [
    `Model: "${printableLine(name)}"`,
    textTable(columnsOf("Layer (type)", "Output Shape", "Connected to"), rows, options.width ?? 100),
    ` Total params: ${withBytes(params.total)}`,
    ` Trainable params: ${withBytes(params.trainable)}`,
    ` Non-trainable params: ${withBytes(params.nonTrainable)}`,
  ].join("\n");
}

function columnsOf(name: string, shape: string, ...others: readonly string[]): TableColumn[] {
  const more = others.map((header) => ({ header }));
  return [{ header: name }, { header: shape, whole: true }, numberColumn("Param #"), ...more];
}

/** A number of 32-bit floats and the memory they take. */
function withBytes(count: number): string {
  return `${withCommas(count)} (${asMemory(4 * count)})`;
}

/** A weight in a file that does not identify its network. */
export interface WeightFacts {
  /** Its name in the file. */
  readonly name: string;
  /** In the file's own order of axes; null if the file that stores it is missing. */
  readonly shape: Shape | null;
}

/** Counts the parameters in weights. */
export function countNumbers(weights: readonly WeightFacts[]): number {
  return weights.reduce((sum, { shape }) => sum + (shape === null ? 0 : sizeOf(shape)), 0);
}

/**
 * Summarizes weights as text: one row for each, then the number of parameters.
 * @param options.width of the table in characters, default 100.
 */
export function summarizeWeights(weights: readonly WeightFacts[], options: { readonly width?: number } = {}): string {
  const rows = weights.map(({ name, shape }) => [
    name,
    shape === null ? "not there" : shape.join("×"),
    withCommas(countNumbers([{ name, shape }])),
  ]);
  const table = textTable(columnsOf("Weight", "Shape"), rows, options.width ?? 100);
  return `${table}\n Total params: ${withCommas(countNumbers(weights))} in ${counted(weights.length, "weight")}`;
}

/** A graph without layer information, as plain data. */
export interface GraphFacts {
  readonly inputs: readonly GraphValueFacts[];
  readonly outputs: readonly GraphValueFacts[];
  /** Number of nodes of each operator, most frequent first. */
  readonly operators: Readonly<Record<string, number>>;
  /** Number of float32 values stored in it. */
  readonly params: number;
  /** Its operations, in the order of the file. */
  readonly nodes: readonly GraphNodeFacts[];
}

export interface GraphNodeFacts {
  /** Name of its first result. */
  readonly name: string;
  readonly operator: string;
  /** In the graph's own order of axes; a string names an axis of any size; null if unknown. */
  readonly outputShape: readonly (number | string)[] | null;
  /** Number of stored values it reads. */
  readonly params: number;
  /** Names of the results it reads. */
  readonly inbound: readonly string[];
}

type GraphValueFacts = { readonly name: string; readonly shape: GraphNodeFacts["outputShape"] };

/** Counts the nodes of each operator, most frequent first. */
export function countOperators(nodes: readonly { readonly operator: string }[]): GraphFacts["operators"] {
  const counts = new Map<string, number>();
  for (const { operator } of nodes) counts.set(operator, (counts.get(operator) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([, a], [, b]) => b - a));
}

/**
 * Summarizes a graph as text: inputs, outputs and operators, then its operations, one a row, with the shapes of their results.
 * @param options.width of the table in characters, default 100.
 */
export function summarizeGraph(facts: GraphFacts, options: { readonly width?: number } = {}): string {
  const { inputs, outputs, operators, params, nodes } = facts;
  const value = ({ name, shape }: GraphValueFacts) =>
    `${name} ${shape === null ? "of any shape" : `[${shape.join(", ")}]`}`;
  const counts = Object.entries(operators).map(([operator, count]) => `${count} ${operator}`);
  const rows = nodes.map((node) => [
    `${node.name} (${node.operator})`,
    node.outputShape === null ? "?" : node.outputShape.map((size) => (size === "" ? "?" : size)).join("×"),
    ...[withCommas(node.params), node.inbound.join(", ") || "-"],
  ]);
  return [
    ...[
      `inputs      ${inputs.map(value).join(", ")}`,
      `outputs     ${outputs.map(value).join(", ")}`,
      `operators   ${counts.join(", ")}`,
      `parameters  ${withCommas(params)}`,
    ].map(printableLine),
    textTable(columnsOf("Result (operator)", "Shape", "Connected to"), rows, options.width ?? 100),
    ...(nodes.some(({ outputShape }) => outputShape === null) ? ["Shapes marked ? are not known."] : []),
  ].join("\n");
}
