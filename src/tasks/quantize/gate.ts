import type { AnswerChange, QuantizationRecord, SpeedChange } from "../../report/quantization.ts";

type Limits = QuantizationRecord["limits"];

/** The limits of accuracy that a change does not keep, in sentences; empty if it keeps them. */
export function lostAccuracy(
  { agreement, accuracy }: Pick<AnswerChange, "agreement" | "accuracy">,
  { maxDrop, minAgreement }: Pick<Limits, "maxDrop" | "minAgreement">,
): readonly string[] {
  const failures: string[] = [];
  if (agreement < minAgreement) {
    const [reached, needed] = distinct(100 * agreement, 100 * minAgreement, 1);
    failures.push(`It predicts the same class for ${reached}\u00a0% of the images, not for ${needed}\u00a0%.`);
  }
  // Without the last digits of a difference of two fractions.
  const drop = accuracy ? Number((100 * (accuracy.before - accuracy.after)).toFixed(6)) : 0;
  if (drop > maxDrop) {
    failures.push(`It loses ${distinct(drop, maxDrop, 1)[0]} points of accuracy, more than ${maxDrop}.`);
  }
  return failures;
}

/** The limit of speed if a change does not keep it, in a sentence. */
export function lostSpeed({ factor }: SpeedChange, { allowSlower }: Pick<Limits, "allowSlower">): readonly string[] {
  if (allowSlower || factor > 1) return [];
  return [`It is not faster than float32 on this machine: ${distinct(factor, 1, 2)[0]} times its speed.`];
}

/** Two numbers with at least so many decimals, and more if they would otherwise look equal. */
function distinct(value: number, limit: number, decimals: number): readonly [string, string] {
  const texts = [value.toFixed(decimals), limit.toFixed(decimals)] as const;
  return texts[0] === texts[1] && value !== limit && decimals < 6 ? distinct(value, limit, decimals + 1) : texts;
}
