import type { Evaluation } from "../records.ts";

/** Images of one class that were taken for another. */
export interface ConfusedPair {
  readonly truth: string;
  readonly predicted: string;
  readonly count: number;
  /** Fraction of the true class's images. */
  readonly share: number;
}

/** The most frequent mistakes, most frequent first; equally frequent ones in the order of the classes. */
export function mostConfused(
  { perClass, confusion }: Pick<Evaluation, "perClass" | "confusion">,
  limit: number,
): readonly ConfusedPair[] {
  return confusion
    .flatMap((row, truth) =>
      row.map((count, predicted) => ({
        truth: perClass[truth]!.label,
        predicted: truth === predicted ? undefined : perClass[predicted]!.label,
        count,
        share: count / perClass[truth]!.support,
      })),
    )
    .filter((pair): pair is ConfusedPair => pair.predicted !== undefined && pair.count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, limit);
}
