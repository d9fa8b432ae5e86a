import type { EpochRecord } from "../records.ts";

const columns: readonly (readonly [header: string, value: (record: EpochRecord) => number | undefined])[] = [
  ["epoch", (record) => record.epoch],
  ["loss", (record) => record.loss],
  ["accuracy", (record) => record.accuracy],
  ["validation_loss", (record) => record.validationLoss],
  ["validation_accuracy", (record) => record.validationAccuracy],
  ["learning_rate", (record) => record.learningRate],
  ["images_per_second", (record) => record.imagesPerSecond],
  ["seconds", (record) => record.seconds],
];

/**
 * The text of `history.csv` (RFC 4180): a header, then one line for each epoch. Numbers are written in full, with a
 * point, so that reading them back gives the same values; a value that was not measured is an empty field.
 * @see https://www.rfc-editor.org/rfc/rfc4180
 */
export function historyCsv(history: readonly EpochRecord[]): string {
  const rows = [
    columns.map(([header]) => header),
    ...history.map((record) => columns.map(([, value]) => String(value(record) ?? ""))),
  ];
  return rows.map((row) => `${row.join(",")}\r\n`).join("");
}
