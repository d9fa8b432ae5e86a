import { withCommas } from "./number-text.ts";
import { textTable } from "./text-table.ts";

/** A graph that says nothing of layers, as plain data. */
export interface GraphFacts {
  readonly inputs: readonly GraphValueFacts[];
  readonly outputs: readonly GraphValueFacts[];
  /** How many nodes there are of each, the most frequent first. */
  readonly operators: Readonly<Record<string, number>>;
  /** How many numbers of float32 are stored in it. */
  readonly params: number;
  /** Its operations, in the order of the file. */
  readonly nodes: readonly GraphNodeFacts[];
}

export interface GraphNodeFacts {
  /** That of its first result. */
  readonly name: string;
  readonly operator: string;
  /** In the graph's own order of axes; a text stands for any size; null: it is not known. */
  readonly outputShape: readonly (number | string)[] | null;
  /** How many of the stored numbers it reads. */
  readonly params: number;
  /** Names of the results it reads. */
  readonly inbound: readonly string[];
}

interface GraphValueFacts {
  readonly name: string;
  /** A text stands for any size; null: the file does not tell. */
  readonly shape: readonly (number | string)[] | null;
}

/**
 * What a graph is fed, what it computes, and of which operators it is made; then its operations, one a row, with the
 * shapes of their results.
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
    withCommas(node.params),
    node.inbound.length === 0 ? "-" : node.inbound.join(", "),
  ]);
  return [
    `inputs      ${inputs.map(value).join(", ")}`,
    `outputs     ${outputs.map(value).join(", ")}`,
    `operators   ${counts.join(", ")}`,
    `parameters  ${withCommas(params)}`,
    textTable(
      [
        { header: "Result (operator)" },
        { header: "Shape", whole: true },
        { header: "Param #", align: "right", whole: true },
        { header: "Connected to" },
      ],
      rows,
      options.width ?? 100,
    ),
    ...(nodes.some(({ outputShape }) => outputShape === null) ? ["Shapes marked ? are not known."] : []),
  ].join("\n");
}
