import { numberColumn } from "../../report/document.ts";
import { textTable } from "../../report/text.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { Verification } from "./verify.ts";

/**
 * What `verify` found, for people: a row for each tap, in the order of the file.
 * @param options.width of the table in characters, default 100.
 */
export function describeVerification(verification: Verification, options: { readonly width?: number } = {}): string {
  const { network, inputShape, classes, batchSize, layout, tolerance, taps, probabilities, passed } = verification;
  const verdict = (each: { passed: boolean }): string => (each.passed ? "ok" : "FAILS");
  const rows = taps.map((tap) => [
    tap.layer,
    formatShape(tap.shape),
    `${tap.samples}`,
    tap.difference.toExponential(2),
    tap.statisticsDifference.toExponential(2),
    tolerance.taps.toExponential(0),
    verdict(tap),
  ]);
  if (probabilities) {
    const { difference } = probabilities;
    const limit = tolerance.probabilities.toExponential(0);
    rows.push(["probabilities", "", "", difference.toExponential(2), "", limit, verdict(probabilities)]);
  }
  const top = classes === undefined ? "without its top" : `${classes} classes`;
  return [
    `${network} ${formatShape(inputShape)}, ${top}, on ${batchSize} images, in the ${layout} layout`,
    "Largest differences from the golden values; those of taps in units of the tap's standard deviation",
    textTable(
      [
        { header: "Tap" },
        { header: "Output" },
        numberColumn("Values"),
        numberColumn("Difference"),
        numberColumn("Statistics"),
        numberColumn("Allowed"),
        { header: "", whole: true },
      ],
      rows,
      options.width ?? 100,
    ),
    passed ? "The network reproduces the golden values." : "The network does not reproduce the golden values.",
  ].join("\n");
}
