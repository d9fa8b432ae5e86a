import { numberColumn, type TableColumn } from "../../report/document.ts";
import { textTable } from "../../report/text.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { ModelVerification } from "./model.ts";

/**
 * What `verifyModel` found, for people: a row for each block, a column for each runtime.
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
