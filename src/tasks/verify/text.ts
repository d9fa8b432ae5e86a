import { numberColumn, type TableColumn } from "../../report/document.ts";
import { textTable } from "../../report/text.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { ModelVerification } from "./model.ts";
import type { TrainingVerification } from "./training.ts";
import type { Verification } from "./verify.ts";

/**
 * Describes the comparison with a golden file in text: a table with a row for each tap, in the order of the file.
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

/**
 * Describes the comparison of training steps in text: the losses, and of the weights those that are farthest off.
 * @param options.width of the table in characters, default 100.
 */
export function describeTrainingVerification(
  { network, inputShape, steps, differences, passed }: TrainingVerification,
  options: { readonly width?: number } = {},
): string {
  const share = ({ difference, allowed }: { difference: number; allowed: number }) => difference / allowed;
  const isLoss = ({ what }: { what: string }) => what.startsWith("loss");
  const weights = differences.filter((each) => !isLoss(each)).sort((a, b) => share(b) - share(a));
  const rows = [...differences.filter(isLoss), ...weights.slice(0, 10)].map((each) => [
    each.what,
    each.difference.toExponential(2),
    each.allowed.toExponential(0),
    each.passed ? "ok" : "FAILS",
  ]);
  const columns = [
    { header: "Number" },
    numberColumn("Difference"),
    numberColumn("Allowed"),
    { header: "", whole: true },
  ];
  return [
    `${network} ${formatShape(inputShape)}, ${steps} training steps`,
    `Relative differences from the golden values; the ${Math.min(10, weights.length)} of ${weights.length} of weights that are farthest off`,
    textTable(columns, rows, options.width ?? 100),
    passed ? "Training reproduces the golden values." : "Training does not reproduce the golden values.",
  ].join("\n");
}

/**
 * Describes the comparison of runtimes in text: a row for each block, a column for each runtime.
 * @param options.width of the table in characters, default 100.
 */
export function describeModelVerification(
  verification: ModelVerification,
  options: { readonly width?: number } = {},
): string {
  const { model, network, inputShape, reference, images, tolerance, runtimes, unavailable, passed } = verification;
  const cell = (found: { difference: number; passed: boolean } | undefined): string =>
    found === undefined ? "" : `${found.difference.toExponential(2)}${found.passed ? "" : " FAILS"}`;
  const rows = (runtimes[0]?.blocks ?? []).map(({ block, layer }, index) => [
    block,
    layer,
    ...runtimes.map(({ blocks }) => cell(blocks[index])),
    tolerance.taps.toExponential(0),
  ]);
  const ends = [
    ["probabilities", "probabilities"],
    ["file", "the file's own graph"],
  ] as const;
  for (const [key, name] of ends) {
    if (runtimes.every((each) => each[key] === undefined)) continue;
    rows.push([name, "", ...runtimes.map((each) => cell(each[key])), tolerance.probabilities.toExponential(0)]);
  }
  const columns: TableColumn[] = [
    { header: "Block" },
    { header: "Layer" },
    ...runtimes.map(({ runtime }) => numberColumn(runtime)),
    numberColumn("Allowed"),
  ];
  const failed = runtimes.flatMap((each) => (each.passed ? [] : [each.runtime]));
  return [
    `${model}: ${network} ${formatShape(inputShape)}, images: ${images.join(", ")}`,
    `Reference: ${reference}`,
    "Largest differences: of blocks in units of the standard deviation of their outputs, of probabilities absolute",
    textTable(columns, rows, options.width ?? 100),
    ...unavailable.map(({ runtime, reason }) => `not on ${runtime}: ${reason}`),
    passed ? "All runtimes agree with the reference." : `Not in agreement with the reference: ${failed.join(", ")}.`,
  ].join("\n");
}
