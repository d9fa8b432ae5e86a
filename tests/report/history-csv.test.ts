import { expect, it } from "vitest";
import type { EpochRecord } from "../../src/base/records.ts";
import { historyCsv } from "../../src/report/training.ts";

const header = "epoch,loss,accuracy,validation_loss,validation_accuracy,learning_rate,images_per_second,seconds\r\n";

it("writes one line for each epoch, numbers in full", () => {
  const history: EpochRecord[] = [
    { epoch: 1, loss: 1.5, accuracy: 0.1 + 0.2, learningRate: 1e-7, imagesPerSecond: 120.25, seconds: 60 },
    {
      epoch: 2,
      loss: 1.25,
      accuracy: 0.5,
      validationLoss: 1.375,
      validationAccuracy: 0.625,
      learningRate: 0.045,
      imagesPerSecond: 121,
      seconds: 59.5,
    },
  ];
  expect(historyCsv(history)).toBe(
    `${header}1,1.5,0.30000000000000004,,,1e-7,120.25,60\r\n2,1.25,0.5,1.375,0.625,0.045,121,59.5\r\n`,
  );
});

it("writes the header alone for a run that stopped before its first epoch ended", () => {
  expect(historyCsv([])).toBe(header);
});
