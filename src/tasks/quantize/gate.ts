import { formatPercent } from "../../report/numbers.ts";
import type { AnswerChange, QuantizationRecord, SpeedChange } from "../../report/quantization.ts";

type Limits = QuantizationRecord["limits"];

/** The limits of accuracy that a change does not keep, in sentences; empty if it keeps them. */
export function lostAccuracy(
  { agreement, accuracy }: Pick<AnswerChange, "agreement" | "accuracy">,
  { maxDrop, minAgreement }: Pick<Limits, "maxDrop" | "minAgreement">,
): readonly string[] {
  const failures: string[] = [];
  if (agreement < minAgreement) {
    const [reached, needed] = [agreement, minAgreement].map(formatPercent);
    failures.push(`It predicts the same class for ${reached} of the images, not for ${needed}.`);
  }
  // Without the last digits of a difference of two fractions.
  const drop = accuracy ? Number((100 * (accuracy.before - accuracy.after)).toFixed(6)) : 0;
  if (drop > maxDrop) failures.push(`It loses ${drop.toFixed(1)} points of accuracy, more than ${maxDrop}.`);
  return failures;
}

/** The limit of speed if a change does not keep it, in a sentence. */
export function lostSpeed({ factor }: SpeedChange, { allowSlower }: Pick<Limits, "allowSlower">): readonly string[] {
  if (allowSlower || factor > 1) return [];
  return [`It is not faster than float32 on this machine: ${factor.toFixed(2)} times its speed.`];
}
