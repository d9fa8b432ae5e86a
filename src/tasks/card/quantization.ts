import { number, string, wholeNumber } from "../../base/kinds.ts";
import { check, list, object, optional } from "../../base/schema.ts";
import type { Provenance } from "../../model/model.ts";
import { factsOf, paragraph, type Section, section } from "../../report/document.ts";
import { counted, formatInterval, formatPercent } from "../../report/numbers.ts";
import { scoresIn, splits } from "./scores.ts";
import type { CardSubject } from "./subject.ts";

const share = number({ from: 0, to: 1 });
const interval = object({ low: share, high: share });
/** The part of a `QuantizationRecord` that the file keeps. */
const schema = object({
  calibration: object({ method: string, images: wholeNumber({ from: 0 }), seed: wholeNumber({ from: 0 }) }),
  floatBlocks: list(string),
  change: object({
    images: wholeNumber({ from: 0 }),
    agreement: share,
    agreementInterval: interval,
    accuracy: optional(object({ before: share, after: share, afterInterval: interval })),
  }),
});

/** How an int8 model differs from the float32 model that it was made from; undefined for others. */
export function quantizationSection({ provenance }: CardSubject): Section | undefined {
  const record = check(schema, provenance?.quantization).value;
  if (!record) return undefined;
  const { calibration, floatBlocks, change } = record;
  const { agreement, agreementInterval, accuracy } = change;
  const { method, images, seed } = calibration;
  const facts = {
    "Same class as float32": `${formatPercent(agreement)} of ${counted(change.images, "image")} (95\u00a0%: ${formatInterval(agreementInterval)})`,
    Accuracy:
      accuracy &&
      `${formatPercent(accuracy.after)} (95\u00a0%: ${formatInterval(accuracy.afterInterval)}), float32 ${formatPercent(accuracy.before)}`,
    "Blocks in float32": floatBlocks.length === 0 ? "none" : floatBlocks.join(", "),
    Calibration: `${counted(images, "image")}, method ${method}, seed ${seed}`,
  };
  const scores = splits.flatMap((split) => {
    const known = scoresIn(provenance?.float32 as Provenance | undefined, split);
    return known ? [`${formatPercent(known.top1)} of ${counted(known.images, `${split} image`)}`] : [];
  });
  return section(
    "quantization",
    "Quantization",
    paragraph("Weights and activations are int8. Compared with the float32 model that it was made from:"),
    { type: "facts", facts: factsOf(facts) },
    scores.length > 0 ? paragraph(`The float32 model classified ${scores.join(", and ")} correctly.`) : undefined,
  );
}
