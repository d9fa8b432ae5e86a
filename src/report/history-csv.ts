import type { EpochRecord } from "../records.ts";
import { csvText } from "./csv.ts";

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

/** The text of `history.csv`: a header, then one line for each epoch. */
export function historyCsv(history: readonly EpochRecord[]): string {
  return csvText([
    columns.map(([header]) => header),
    ...history.map((record) => columns.map(([, value]) => value(record))),
  ]);
}
