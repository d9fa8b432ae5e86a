import { numberColumn, type TableColumn } from "../../report/document.ts";
import { counted } from "../../report/numbers.ts";
import { textTable } from "../../report/text.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { ModelVerification } from "./model.ts";
import type { TrainingDifference, TrainingVerification } from "./training.ts";
import type { Judgment, Verification } from "./verify.ts";

const verdict = ({ passed }: { readonly passed: boolean }) => (passed ? "ok" : "FAILS");
const verdictColumn: TableColumn = { header: "", whole: true };

/**
 * Describes the comparison with a golden file in text: a table with a row for each tap, in the order of the file.
 * @param options.width of the table in characters.
 */
export function describeVerification(
  { network, inputShape, classes, batchSize, layout, tolerance, taps, probabilities, passed }: Verification,
  { width = 100 }: { readonly width?: number } = {},
): string {
  const allowed = tolerance.taps.toExponential(0);
  const rows = taps.map((tap) => {
    const differences = [tap.difference, tap.statisticsDifference].map((each) => each.toExponential(2));
    return [tap.layer, formatShape(tap.shape), `${tap.samples}`, ...differences, allowed, verdict(tap)];
  });
  if (probabilities) {
    const limit = tolerance.probabilities.toExponential(0);
    const difference = probabilities.difference.toExponential(2);
    rows.push(["probabilities", "", "", difference, "", limit, verdict(probabilities)]);
  }
  const numbers = ["Values", "Difference", "Statistics", "Allowed"].map(numberColumn);
  const top = classes === undefined ? "without its top" : counted(classes, "class", "classes");
  return [
    `${network} ${formatShape(inputShape)}, ${top}, on ${counted(batchSize, "image")}, in the ${layout} layout`,
    "Largest differences from the golden values; those of taps in units of the tap's standard deviation",
    textTable([{ header: "Tap" }, { header: "Output" }, ...numbers, verdictColumn], rows, width),
    passed ? "The network reproduces the golden values." : "The network does not reproduce the golden values.",
  ].join("\n");
}

/**
 * Describes the comparison of training steps in text: the losses and the weights with the largest differences.
 * @param options.width of the table in characters.
 */
export function describeTrainingVerification(
  { network, inputShape, steps, differences, passed }: TrainingVerification,
  { width = 100 }: { readonly width?: number } = {},
): string {
  const share = ({ difference, allowed }: TrainingDifference) => difference / allowed;
  const isLoss = ({ what }: TrainingDifference) => what.startsWith("loss");
  const weights = differences.filter((each) => !isLoss(each)).sort((a, b) => share(b) - share(a));
  const shown = weights.slice(0, 10);
  const rows = [...differences.filter(isLoss), ...shown].map((each) => [
    each.what,
    each.difference.toExponential(2),
    each.allowed.toExponential(0),
    verdict(each),
  ]);
  const columns = [{ header: "Number" }, numberColumn("Difference"), numberColumn("Allowed"), verdictColumn];
  return [
    `${network} ${formatShape(inputShape)}, ${steps} training steps`,
    `Relative differences from the golden values; the ${shown.length} of ${weights.length} of weights that are farthest off`,
    textTable(columns, rows, width),
    passed ? "Training reproduces the golden values." : "Training does not reproduce the golden values.",
  ].join("\n");
}

/**
 * Describes the comparison of runtimes in text: a row for each block, a column for each runtime.
 * @param options.width of the table in characters.
 */
export function describeModelVerification(
  { model, network, inputShape, reference, images, tolerance, runtimes, unavailable, passed }: ModelVerification,
  { width = 100 }: { readonly width?: number } = {},
): string {
  const cell = (found: Judgment | undefined): string =>
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
    textTable(columns, rows, width),
    ...unavailable.map(({ runtime, reason }) => `not on ${runtime}: ${reason}`),
    passed ? "All runtimes agree with the reference." : `Not in agreement with the reference: ${failed.join(", ")}.`,
  ].join("\n");
}
