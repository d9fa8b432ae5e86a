import { csvText } from "../csv.ts";
import type { Prediction } from "../records.ts";

const header = ["file", "truth", "predicted", "correct", "probability", "truth_probability", "truth_rank"];

/** The text of a table of tested images, a line for each: what it is, what it was taken for, and how certainly. */
export function predictionsCsv(predictions: readonly Prediction[]): string {
  return csvText([
    header,
    ...predictions.map(({ file, truth, predicted, probability, truthProbability, truthRank }) => [
      file,
      truth,
      predicted,
      truth === predicted ? 1 : 0,
      probability,
      truthProbability,
      truthRank,
    ]),
  ]);
}
