import { number, wholeNumber } from "../../base/kinds.ts";
import type { Evaluation } from "../../base/records.ts";
import { check, type Described, object, optional } from "../../base/schema.ts";
import { accuracyInterval, type Interval } from "../../base/significance.ts";
import type { Provenance } from "../../model/model.ts";
import type { ModelDescription } from "../../model/model-file.ts";

/** Sets of images that a model was evaluated on, as its provenance names them. */
export const splits = ["test", "validation"] as const;

const share = number({ from: 0, to: 1 });
const scoresSchema = object({
  images: wholeNumber({ from: 1 }),
  top1: share,
  top5: optional(share),
  loss: optional(number()),
  meanAveragePrecision: optional(share),
  expectedCalibrationError: optional(share),
  temperature: optional(number({ above: 0 })),
});

/** Result of an evaluation, as a model's provenance records it under `validation` or `test`. */
export type RecordedScores = Described<typeof scoresSchema>;

/** The part of an evaluation that a model's provenance records. */
export function recordedScores({ images, top1, top1Interval, top5, loss, ...others }: Evaluation): Provenance {
  const { meanAveragePrecision, calibration } = others;
  const temperature = calibration?.temperature?.temperature;
  return {
    ...{ images, top1, top5, loss },
    ...(top1Interval && { top1Interval: { ...top1Interval } }),
    ...(meanAveragePrecision !== undefined && { meanAveragePrecision }),
    ...(calibration && { expectedCalibrationError: calibration.expectedCalibrationError }),
    ...(temperature !== undefined && { temperature }),
  };
}

/** The scores in a provenance, if there are any in this form. */
export function scoresIn(
  provenance: Provenance | undefined,
  split: (typeof splits)[number],
): RecordedScores | undefined {
  return check(scoresSchema, provenance?.[split]).value;
}

/** A score of a model, for its card. */
export interface CardMetric {
  readonly split: (typeof splits)[number];
  /** Name of the metric on Hugging Face. */
  readonly type: string;
  readonly name: string;
  readonly value: number;
  /** 95 % confidence interval, of shares of images. */
  readonly interval?: Interval;
  readonly images: number;
}

/** The scores that a model's provenance records. With five classes or fewer, top-5 accuracy is always 1. */
export function metricsIn({ provenance, labels = [] }: Partial<ModelDescription>): readonly CardMetric[] {
  return splits.flatMap((split) => {
    const scores = scoresIn(provenance, split);
    if (scores === undefined) return [];
    const { images, top1, top5, loss, meanAveragePrecision: precision, expectedCalibrationError: error } = scores;
    const metric = (type: string, name: string, value: number | undefined): CardMetric[] =>
      value === undefined ? [] : [{ split, type, name, value, images }];
    const accuracy = (name: string, value: number | undefined) =>
      metric("accuracy", name, value).map((each) => ({ ...each, interval: accuracyInterval(each.value, images) }));
    return [
      ...accuracy("Top-1 accuracy", top1),
      ...(labels.length > 5 ? accuracy("Top-5 accuracy", top5) : []),
      ...metric("mean_average_precision", "Mean average precision (MAP@100)", precision),
      ...metric("loss", "Cross-entropy, nats per image", loss),
      ...metric("expected_calibration_error", "Expected calibration error, 15 bins", error),
    ];
  });
}
