import { type Shape, sizeOf } from "../tensor/shape.ts";
import { withCommas } from "./number-text.ts";
import { textTable } from "./text-table.ts";

/** A weight in a file that does not say which network it belongs to. */
export interface WeightFacts {
  /** As the file calls it. */
  readonly name: string;
  /** In the file's own order of axes; null: the file that it is in is not there. */
  readonly shape: Shape | null;
}

/** How many numbers weights have. */
export function countNumbers(weights: readonly WeightFacts[]): number {
  return weights.reduce((sum, { shape }) => sum + (shape === null ? 0 : sizeOf(shape)), 0);
}

/**
 * Weights, one a row, and how many numbers they have.
 * @param options.width of the table in characters, default 100.
 */
export function summarizeWeights(weights: readonly WeightFacts[], options: { readonly width?: number } = {}): string {
  const rows = weights.map(({ name, shape }) => [
    name,
    shape === null ? "not there" : shape.join("×"),
    withCommas(countNumbers([{ name, shape }])),
  ]);
  const table = textTable(
    [{ header: "Weight" }, { header: "Shape", whole: true }, { header: "Param #", align: "right", whole: true }],
    rows,
    options.width ?? 100,
  );
  return `${table}\n Total params: ${withCommas(countNumbers(weights))} in ${weights.length} weights`;
}
