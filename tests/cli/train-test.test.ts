import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readTrainingImages } from "../../apps/cli/train/images.ts";
import { accuracyInterval } from "../../src/base/significance.ts";
import { countPerClass, folderDataset } from "../../src/data/dataset.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { resolveSettings } from "../../src/train/settings/resolve.ts";
import { train } from "../../src/train/train.ts";
import { comparable } from "../crash/interrupted-run.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let work: string;
const at = (...names: string[]) => join(work, ...names);
const readJson = async (...names: string[]) => JSON.parse(await readFile(at(...names), "utf8"));
const datasetAt = async (name: string) => folderDataset(await platform.files.list(at(name)));

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-train-test-"));
  await writeImages(at("photos"), 10, 1);
  await writeImages(at("val"), 3, 2);
  await writeImages(at("test"), 5, 3);
});
afterAll(() => rm(work, { recursive: true }));

/** Trains for two epochs, and returns the reports. */
async function run(name: string, ...flags: string[]) {
  const output = ["-o", at(name), "--epochs", "2", "--no-tensorboard"];
  const { exitCode, stdout, stderr } = await capture(["train", at("photos"), ...output, ...smallTraining, ...flags]);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  const report = await readFile(at(name, "report.html"), "utf8");
  const { provenance } = decodeModel(await readFile(at(name, "model.onnx")), name);
  const [announced] = stderr.split("\n");
  const evaluation = await readJson(name, "evaluation.json").catch(() => undefined);
  return { stdout, announced, report, provenance: provenance!, evaluation };
}

const accuracy = (kind: string, images: number) =>
  String.raw`\d+\.\d % of ${images} ${kind} images correct \(95 % interval \d+\.\d to \d+\.\d %\)\.`;

/** The headlines and sections of a report on evaluations. */
function headings(report: string): readonly string[] {
  return [...report.matchAll(/<(?:dt|h2)[^>]*>((?:Test|Validation) (?:accuracy|result))</g)].map(([, text]) => text!);
}

describe("words of a run", () => {
  it("without validation: the last weights, which nothing chose", async () => {
    const { stdout, announced, report, provenance, evaluation } = await run("none", "--split", "100/0");
    expect(announced).toMatch(/on 20 images of 2 classes; without validation$/);
    expect(stdout).toBe("The model is that of step 10, the last one; it was not validated.\n");
    expect(headings(report)).toEqual([]);
    expect(report).toContain("none: no epoch was chosen");
    expect(evaluation).toBeUndefined();
    expect(Object.keys(provenance.data as object)).toEqual(["training"]);
    expect(provenance).not.toHaveProperty("validation");
  });

  it("with validation: images that chose the epoch", async () => {
    const { stdout, announced, report, provenance, evaluation } = await run("val-only", "--val", at("val"));
    expect(announced).toMatch(/on 20 images of 2 classes; validating on 6$/);
    expect(stdout).toMatch(
      new RegExp(`^The model is that of epoch [12], the best of 2: ${accuracy("validation", 6)}\n$`),
    );
    expect(headings(report)).toEqual(["Validation accuracy", "Validation result"]);
    expect(Object.keys(evaluation)).toEqual(["validation"]);
    expect(provenance).not.toHaveProperty("test");
  });

  it("with a test: images that chose nothing, evaluated with the weights kept, as the library and evaluate do", async () => {
    const { stdout, announced, report, provenance, evaluation } = await run(
      "both",
      ...["--val", at("val"), "--test", at("test")],
    );
    expect(announced).toMatch(/on 20 images of 2 classes; validating on 6, testing on 10 at the end$/);
    const kept = `^The model is that of epoch [12], the best of 2: ${accuracy("validation", 6)}`;
    expect(stdout).toMatch(new RegExp(`${kept} Test: ${accuracy("test", 10)}\n$`));
    expect(headings(report)).toEqual(["Test accuracy", "Validation accuracy", "Test result"]);
    expect(report).toContain("Test images, as classified after epoch");

    const { skipped, ...test } = evaluation.test;
    expect(skipped).toEqual([]);
    expect(test.top1Interval).toEqual(accuracyInterval(test.top1, 10));
    expect(provenance.test).toMatchObject({ images: 10, top1: test.top1, top1Interval: test.top1Interval });
    expect(provenance.data).toMatchObject({ test: { images: { blue: 5, red: 5 } } });
    const again = await capture(["evaluate", at("both", "model.onnx"), at("test"), "--json"]);
    expect(JSON.parse(again.stdout)).toEqual(evaluation.test);

    const options = { inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0 } as const;
    const { test: trained } = await train(await datasetAt("photos"), {
      ...{ platform, network: { family: "xception", options }, epochs: 2, batchSize: 4, learningRate: 0.01 },
      validation: await datasetAt("val"),
      test: await datasetAt("test"),
    });
    expect(trained!.evaluation).toEqual(test);
    expect(trained!.predictions).toHaveLength(10);
  });

  it("with a split: three parts of one folder, and the same run after an interruption at the test", async () => {
    const { announced, evaluation } = await run("split", "--split", "0.6/0.2/0.2");
    expect(announced).toMatch(/on 12 images of 2 classes; validating on 4, testing on 4 at the end$/);
    expect([evaluation.validation.images, evaluation.test.images]).toEqual([4, 4]);

    const controller = new AbortController();
    const flags = ["-o", at("stopped"), "--epochs", "2", "--split", "0.6/0.2/0.2", ...smallTraining];
    const stopped = await capture(["train", at("photos"), ...flags], {
      signal: controller.signal,
      stderr: (text) => {
        if (text.includes("epoch 2/2")) controller.abort();
      },
    });
    expect(stopped.stderr + stopped.stdout).not.toContain("Test:");
    const resumed = await capture(["train", "--resume", "-o", at("stopped")]);
    expect([resumed.exitCode, resumed.stderr]).toEqual([0, expect.anything()]);
    expect(await comparable(at("stopped"))).toEqual(await comparable(at("split")));
    // A complete run repeats its words.
    const complete = await capture(["train", "--resume", "-o", at("stopped")]);
    expect(complete.stderr).toContain("there is nothing to resume");
    expect(complete.stdout).toBe(resumed.stdout);
    expect(complete.stdout).toMatch(new RegExp(`Test: ${accuracy("test", 4)}\n$`));
  });
});

describe("--temperature", () => {
  const evaluated = async (model: string, ...flags: string[]) => {
    const { exitCode, stdout, stderr } = await capture(["evaluate", at(model), at("val"), "--json", ...flags]);
    expect([exitCode, stderr]).toEqual([0, expect.anything()]);
    return JSON.parse(stdout);
  };

  it("divides the logits by what fits the validation images, in training as after it", async () => {
    const { stdout, provenance, evaluation } = await run("warm", "--val", at("val"), "--temperature");
    const { temperature: fit, expectedCalibrationError: errorBefore } = evaluation.validation.calibration;
    const { temperature, expectedCalibrationError: errorAfter } = fit;
    expect(provenance.calibration).toEqual({ temperature, images: 6, errorBefore, errorAfter });
    expect(stdout).toContain("Its probabilities are calibrated with temperature ");

    const after = await evaluated("warm/model.onnx");
    expect(after.calibration.expectedCalibrationError).toBeCloseTo(errorAfter, 4);
    expect(after.calibration.temperature.temperature).toBeCloseTo(1, 3);
    expect(after.loss).toBeCloseTo(fit.loss, 4);
    expect(after.confusion).toEqual(evaluation.validation.confusion);

    // The run of the same seed without it, calibrated afterwards.
    await evaluated("val-only/model.onnx", "--temperature", "-o", at("calibrated.onnx"));
    const own = decodeModel(await readFile(at("warm", "model.onnx")), "warm");
    const later = decodeModel(await readFile(at("calibrated.onnx")), "calibrated");
    for (const [name, { data }] of own.weights) {
      const other = later.weights.get(name)!.data;
      expect(Math.max(...data.map((value, index) => Math.abs(value - other[index]!)))).toBeLessThan(1e-3);
    }
    expect(later.provenance!.calibration).toMatchObject({ images: 6 });
  });

  it.each([
    [["--temperature"], "option --temperature: it needs --output; expected --temperature -o FILE."],
    [["-o", "x.onnx"], "option --output: it needs --temperature; expected --temperature -o FILE."],
    [
      ["--temperature", "-o", "x.txt"],
      'option --output: the extension does not identify a format; received "x.txt"; expected',
    ],
  ])("evaluate refuses %j", async (flags, message) => {
    const { exitCode, stderr } = await capture(["evaluate", at("val-only/model.onnx"), at("val"), ...flags]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`error: ${message}`);
  });
});

it("copies of one file stay on one side of the split", async () => {
  await writeImages(at("copied"), 6, 4);
  for (let index = 0; index < 6; index++) {
    for (const copy of ["a", "b"]) {
      await copyFile(at("copied", "red", `${index}.png`), at("copied", "red", `${index}${copy}.png`));
    }
  }
  const { settings } = resolveSettings([{ source: "", values: { split: [34, 33, 33] }, where: (name) => name }]);
  const { training, validation, test } = await readTrainingImages(at("copied"), settings, platform.files);
  for (const { samples } of [training, validation!.dataset, test!.dataset]) {
    const red = samples.flatMap(({ name }) => /red\/(\d)[ab]?\.png/.exec(name)?.[1] ?? []);
    expect(red).toHaveLength(6);
    expect(new Set(red).size).toBe(2);
  }
  expect(countPerClass(training)).toEqual([2, 6]);
});

it("refuses test images that chose the weights", async () => {
  const images = await datasetAt("val");
  const request = { platform, validation: images, test: images };
  await expect(train(await datasetAt("photos"), request)).rejects.toThrow(
    "train option test: the validation images choose the weights: a test needs other images.",
  );
  const flags = ["--val", at("val"), "--test", at("val", "..", "val"), "-o", at("same")];
  expect(await capture(["train", at("photos"), ...flags])).toEqual({
    exitCode: 2,
    stdout: "",
    stderr: `error: option --test: the images of --val choose the weights: a test needs other images; received "${at("val")}".\n`,
  });
});
