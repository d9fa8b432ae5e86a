import { describe, expect, it } from "vitest";
import { bind } from "../../../src/bind.ts";
import { decodeModel } from "../../../src/model/model-file.ts";
import { nodePlatform as platform } from "../../../src/runtime/node/platform.ts";
import { modelFileCard } from "../../../src/tasks/card/card.ts";
import { compareAnswers } from "../../../src/tasks/quantize/answers.ts";
import { lostAccuracy, lostSpeed } from "../../../src/tasks/quantize/gate.ts";
import { quantize } from "../../../src/tasks/quantize/quantize.ts";
import { smallModel } from "../../model/small-model.ts";
import { noise } from "../images.ts";

const model = smallModel();
const images = Array.from({ length: 12 }, (_, index) => ({
  name: `${index}`,
  image: { width: 80, height: 71, data: noise(1, [71, 80, 3], index).data },
  label: index % 3,
}));
const options = { platform, count: 8, allowSlower: true, maxDrop: 100, minAgreement: 0, reduceRange: true } as const;

describe("quantize", () => {
  it("gives the same file twice, and records how it was made", async () => {
    const steps = new Set<string>();
    const onProgress = (step: string) => steps.add(step);
    const first = await quantize(model, images, { ...options, onProgress });
    const { platform: _, ...own } = options;
    const second = await bind(platform).quantize(model, images, own);
    expect(Buffer.compare(first.bytes, second.bytes)).toBe(0);
    expect([...steps]).toEqual(["calibrating", "ranking blocks", "predicting in float32", "comparing"]);
    const { record, failures } = first;
    expect(failures).toEqual([]);
    expect(record).toMatchObject({
      calibration: { method: "mse", images: 8, seed: 0 },
      weightBits: 7,
      floatBlocks: [],
      change: { images: 4, accuracy: { images: 4 } },
      comparedOnCalibration: false,
    });
    expect(record.blocks.map(({ name }) => name).sort()).toEqual([
      "block1",
      "block2",
      "block3",
      "block4",
      "block5",
      "block6",
      "block7",
      "top",
    ]);
    expect(record.bytes.after).toBe(first.bytes.length);
    const { provenance, labels } = decodeModel(first.bytes);
    expect(labels).toEqual(model.labels);
    expect(provenance).toMatchObject({
      data: "made up",
      quantization: { calibration: record.calibration, floatBlocks: [] },
    });
  });

  it("does not give the float32 model's scores as its own", async () => {
    const validation = { images: 200, top1: 0.935, loss: 0.25 };
    const scored = { ...model, provenance: { ...model.provenance, epoch: 3, validation } };
    const { bytes, model: quantized, record } = await quantize(scored, images, options);
    expect(quantized.provenance).toMatchObject({ epoch: 3, float32: { validation } });
    expect(quantized.provenance).not.toHaveProperty("validation");
    const card = (await modelFileCard("small.onnx", bytes, quantized)).replaceAll("\u00a0", " ");
    expect(card).not.toContain("model-index");
    expect(card).not.toContain("sensitivity");
    const { agreement, accuracy } = record.change;
    expect(card).toContain(`**Same class as float32**: ${(100 * agreement).toFixed(1)} % of 4 images (95 %: `);
    expect(card).toContain(`float32 ${(100 * accuracy!.before).toFixed(1)} %`);
    expect(card).toContain("**Blocks in float32**: none");
    expect(card).toContain("The float32 model classified 93.5 % of 200 validation images correctly.");
    expect(card).toContain("The file does not state how well the model does beyond that.");
  });

  it("keeps the worst blocks in float32 while limits are broken, and says which", async () => {
    // Labels that are float32's own answers: any change of a class costs accuracy.
    const strict = { ...options, reduceRange: false, minAgreement: 1, maxDrop: 0 };
    const { record, failures } = await quantize(model, images, strict);
    expect(record.floatBlocks).toEqual(record.blocks.slice(0, record.floatBlocks.length).map(({ name }) => name));
    if (failures.length > 0) expect(record.floatBlocks).toHaveLength(4);
  });
});

describe("compareAnswers", () => {
  const answers = (...rows: readonly (readonly number[])[]) =>
    new Map(rows.map((row, index) => [index, Float32Array.from(row)]));

  it("counts as worked out by hand", () => {
    const before = answers([0.75, 0.25], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5]);
    const after = answers([0.5, 0.5], [0.25, 0.75], [0.25, 0.75]);
    const labeled = [{ label: 0 }, { label: 0 }, { label: 0 }, {}].map((each) => ({ name: "", image: "", ...each }));
    const change = compareAnswers(before, after, labeled);
    expect(change).toMatchObject({ images: 3, agreement: 2 / 3 });
    expect(change.meanDifference).toBeCloseTo((0.25 + 0.5 + 0) / 3, 7);
    expect(change.accuracy).toMatchObject({
      images: 3,
      before: 2 / 3,
      after: 1 / 3,
      onlyBefore: 1,
      onlyAfter: 0,
      pValue: 1,
    });
    expect(
      compareAnswers(
        before,
        after,
        labeled.map(({ label: _, ...rest }) => rest),
      ).accuracy,
    ).toBeUndefined();
  });
});

it("of a single class, compares whether it is more probable than not", () => {
  const answers = (...values: number[]) => new Map(values.map((value, index) => [index, Float32Array.of(value)]));
  const labeled = [0, 0, undefined, undefined].map((label, index) => ({ ...images[index]!, label }));
  const change = compareAnswers(answers(0.9, 0.8, 0.1, 0.2), answers(0.8, 0.3, 0.2, 0.7), labeled);
  expect(change.agreement).toBe(0.5);
  expect(change.accuracy).toMatchObject({ images: 2, before: 1, after: 0.5, onlyBefore: 1, onlyAfter: 0 });
});

describe("the gate", () => {
  const limits = { maxDrop: 1, minAgreement: 0.98, allowSlower: false };
  const accuracy = (before: number, after: number) => {
    const rest = { images: 100, afterInterval: { low: 0, high: 1 }, onlyBefore: 0, onlyAfter: 0, pValue: 1 };
    return { ...rest, before, after };
  };

  it("names each limit that is broken, and none that is just kept", () => {
    expect(lostAccuracy({ agreement: 0.98, accuracy: accuracy(0.9, 0.89) }, limits)).toEqual([]);
    expect(lostAccuracy({ agreement: 0.9, accuracy: accuracy(0.9, 0.95) }, limits)).toEqual([
      "It predicts the same class for 90.0\u00a0% of the images, not for 98.0\u00a0%.",
    ]);
    expect(lostAccuracy({ agreement: 1, accuracy: accuracy(0.9, 0.88) }, limits)).toEqual([
      "It loses 2.0 points of accuracy, more than 1.",
    ]);
    // 97.98 and 98 % must not both read 98.0.
    expect(lostAccuracy({ agreement: 0.9798, accuracy: accuracy(0.9, 0.8896) }, limits)).toEqual([
      "It predicts the same class for 97.98\u00a0% of the images, not for 98.00\u00a0%.",
      "It loses 1.04 points of accuracy, more than 1.",
    ]);
    const speed = { beforeMs: 9, afterMs: 10, factor: 0.9 };
    expect(lostSpeed(speed, limits)).toEqual(["It is not faster than float32 on this machine: 0.90 times its speed."]);
    expect(lostSpeed({ ...speed, factor: 0.998 }, limits).join()).toContain("0.998 times its speed.");
    expect(lostSpeed({ ...speed, factor: 1 }, limits).join()).toContain("1.00 times its speed.");
    expect(lostSpeed(speed, { allowSlower: true })).toEqual([]);
    expect(lostSpeed({ ...speed, factor: 1.1 }, limits)).toEqual([]);
  });

  it("needs images, and a CPU", async () => {
    await expect(quantize(model, [], options)).rejects.toThrow("quantize: there are no images to calibrate with.");
    const engine = Object.create(platform.engine, { defaultDevice: { value: "webgpu" } });
    await expect(quantize(model, images, { ...options, platform: { ...platform, engine } })).rejects.toThrow(
      'quantize: integers are computed on CPUs only; received "webgpu". Quantize in Node.',
    );
    await expect(quantize(model, images, { ...options, minAgreement: 98 })).rejects.toThrow("option minAgreement");
    const mistyped = bind(platform).quantize(model, images, { sample: 3 } as never);
    await expect(mistyped).rejects.toThrow(
      'quantize option "sample": there is no such option; expected one of test, count',
    );
  });
});
