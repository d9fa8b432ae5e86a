import { expect, it } from "vitest";
import { type QuantizationRecord, quantizationReport } from "../../src/report/quantization.ts";
import { toText } from "../../src/report/text.ts";

it("counts a single image and point as one", () => {
  const interval = { low: 0.2, high: 1 };
  const accuracy = { images: 1, before: 1, after: 1, afterInterval: interval, onlyBefore: 0, onlyAfter: 0, pValue: 1 };
  const record: QuantizationRecord = {
    calibration: { method: "mse", images: 1, seed: 0 },
    weightBits: 8,
    ...{
      blocks: [{ name: "block1", layers: ["block1_conv1"], difference: 4e-14 }],
      floatBlocks: [],
      bytes: { before: 4096, after: 1024 },
    },
    change: { images: 1, agreement: 1, agreementInterval: interval, meanDifference: 0.01, accuracy },
    ...{ comparedOnCalibration: false, speed: { beforeMs: 2, afterMs: 1, factor: 2 }, saturates: false },
    limits: { maxDrop: 1, minAgreement: 0.98, allowSlower: false },
  };
  const text = toText(quantizationReport(record, [], "small"), { width: 200 }).replaceAll("\u00a0", " ");
  expect(text).toContain("Same class as float32: 100.0 % of 1 image (95 %: 20.0 to 100.0 %), at least 98.0 %");
  expect(text).toContain("float32 100.0 %, at most 1 point less");
  expect(text).toContain("Largest difference of a probability: 0.0100 on average");
  expect(text).toMatch(/│ block1 │ +1 │ +0\.0000 │ int8 +│/);
  expect(text).toContain("Calibration: 1 image, method mse, seed 0");
});
