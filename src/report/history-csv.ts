import { csvText } from "../csv.ts";
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

/** Where images have several labels, after the others of validation. */
const precision: (typeof columns)[number] = ["validation_map100", (record) => record.validationPrecision];

/** The text of `history.csv`: a header, then one line for each epoch. */
export function historyCsv(history: readonly EpochRecord[]): string {
  const hasPrecision = history.some(({ validationPrecision }) => validationPrecision !== undefined);
  const shown = hasPrecision ? columns.toSpliced(5, 0, precision) : columns;
  return csvText([
    shown.map(([header]) => header),
    ...history.map((record) => shown.map(([, value]) => value(record))),
  ]);
}
