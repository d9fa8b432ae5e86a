import { withCommas } from "./number-text.ts";

/** A graph that says nothing of layers, as plain data. */
export interface GraphFacts {
  readonly inputs: readonly GraphValueFacts[];
  readonly outputs: readonly GraphValueFacts[];
  /** How many nodes there are of each, the most frequent first. */
  readonly operators: Readonly<Record<string, number>>;
  /** How many numbers of float32 are stored in it. */
  readonly params: number;
}

interface GraphValueFacts {
  readonly name: string;
  /** A text stands for any size; null: the file does not tell. */
  readonly shape: readonly (number | string)[] | null;
}

/** What a graph is fed, what it computes, and of which operators it is made, as lines of text. */
export function summarizeGraph({ inputs, outputs, operators, params }: GraphFacts): string {
  const value = ({ name, shape }: GraphValueFacts) =>
    `${name} ${shape === null ? "of any shape" : `[${shape.join(", ")}]`}`;
  const counts = Object.entries(operators).map(([operator, count]) => `${count} ${operator}`);
  return [
    `inputs      ${inputs.map(value).join(", ")}`,
    `outputs     ${outputs.map(value).join(", ")}`,
    `operators   ${counts.join(", ")}`,
    `parameters  ${withCommas(params)}`,
  ].join("\n");
}
