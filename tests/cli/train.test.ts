import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { CliIo } from "../../apps/cli/io.ts";
import { startRun } from "../../apps/cli/train/run.ts";
import { RunFolder } from "../../apps/cli/train/run-folder.ts";
import { trainInto } from "../../apps/cli/train/train-into.ts";
import packageJson from "../../package.json" with { type: "json" };
import { noAugmentation } from "../../src/data/augmentation.ts";
import { folderDataset } from "../../src/data/dataset.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { constantRate } from "../../src/learning/schedules.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { historyCsv } from "../../src/report/training.ts";
import { decodeReport } from "../../src/report/training-report.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { loadExplainer } from "../../src/tasks/explain/explainer.ts";
import { overlaidImage } from "../../src/tasks/explain/overlay.ts";
import { alone } from "../../src/train/ranks/ranks.ts";
import { resolveSettings } from "../../src/train/settings/resolve.ts";
import { train } from "../../src/train/train.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let data: string;
let work: string;
const photos = () => join(data, "photos", "train");
const held = () => join(data, "it's held out");
const runFolder = () => join(work, "run");
const at = (name: string) => join(runFolder(), name);

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "xception-train-data-"));
  await writeImages(photos(), 6, 1);
  await writeImages(held(), 3, 2);
  await writeFile(join(photos(), "red", "broken.png"), "no image");
  await writeFile(join(held(), "blue", "empty.jpg"), "");
});
afterAll(() => rm(data, { recursive: true }));
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-train-"));
});
afterEach(() => rm(work, { recursive: true }));

function trainCommand(...flags: string[]): string[] {
  return ["train", photos(), "--output", runFolder(), ...smallTraining, ...flags];
}

/** Everything that the run's folder holds, to compare. */
async function contents(): Promise<Record<string, string>> {
  const names = (await readdir(runFolder())).filter((name) => !["checkpoints", "tensorboard"].includes(name)).sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(at(name), "base64")])));
}

describe("xception train", () => {
  it("does what the library does, and writes model, history, test and report", async () => {
    const flags = ["--val", held(), "--epochs", "3", "--seed", "5", "--optimizer", "sgd", "--momentum", "0.8"];
    const more = [
      "--schedule",
      "constant",
      "--label-smoothing",
      "0.2",
      "--dropout",
      "0.3",
      "--augment",
      "none",
      "--json",
    ];
    const { exitCode, stdout, stderr } = await capture(trainCommand(...flags, ...more));
    expect(exitCode).toBe(0);
    const result = JSON.parse(stdout);

    const options = { inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0, dropout: 0.3 } as const;
    const expected = await train(folderDataset(await platform.files.list(photos())), {
      platform,
      network: { family: "xception", options },
      validation: folderDataset(await platform.files.list(held())),
      epochs: 3,
      seed: 5,
      batchSize: 4,
      optimizer: createOptimizer("sgd", { momentum: 0.8, weightDecay: 1e-5 }),
      learningRate: 0.01,
      schedule: constantRate,
      labelSmoothing: 0.2,
      augment: noAugmentation,
    });

    const model = decodeModel(await readFile(at("model.onnx")), "model.onnx");
    expect(model.weights).toEqual(expected.weights);
    expect(model.labels).toEqual(["blue", "red"]);
    expect(model.architecture).toMatchObject({ family: "xception", options: { ...options, classes: 2, seed: 5 } });
    // All that has an effect: what was given here, the defaults of everything else, and no paths.
    const chosen = {
      ...{ epochs: 3, batchSize: 4, optimizer: "sgd", learningRate: 0.01, schedule: "constant", momentum: 0.8 },
      ...{
        labelSmoothing: 0.2,
        augment: "none",
        seed: 5,
        imageSize: 71,
        width: 0.01,
        dropout: 0.3,
        middleFlowRepeats: 0,
      },
    };
    const { settings, sources } = resolveSettings([
      { source: "test", values: { ...chosen, val: held() }, where: (name) => name },
    ]);
    const effective = [...sources.keys()].map((name) => [name, settings[name]] as const);
    const expectedRecipe = Object.fromEntries(effective.filter(([name, value]) => value !== null && name !== "val"));
    expect(expectedRecipe).toMatchObject({
      ...chosen,
      weightDecay: 1e-5,
      weightsSeed: 5,
      variant: "paper",
      fcUnits: [],
    });
    expect(model.provenance).toEqual({
      program: `xception-ts ${packageJson.version}`,
      recipe: expectedRecipe,
      data: {
        training: { folder: "photos/train", images: { blue: 6, red: 7 } },
        validation: { folder: "it's held out", images: { blue: 4, red: 3 } },
      },
      epoch: expected.epoch,
      epochs: expected.epoch,
      steps: 3 * expected.epoch,
      validation: {
        images: 6,
        top1: expected.evaluation!.top1,
        top1Interval: expected.evaluation!.top1Interval,
        top5: 1,
        loss: expected.evaluation!.loss,
        expectedCalibrationError: expected.evaluation!.calibration!.expectedCalibrationError,
        temperature: expected.evaluation!.calibration!.temperature!.temperature,
      },
    });

    const withoutTime = ({ imagesPerSecond, seconds, ...record }: (typeof expected.history)[number]) => record;
    expect(result.history.map(withoutTime)).toEqual(expected.history.map(withoutTime));
    expect(await readFile(at("history.csv"), "utf8")).toBe(historyCsv(result.history));
    const test = JSON.parse(await readFile(at("evaluation.json"), "utf8"));
    expect(test).toEqual({ validation: { ...expected.evaluation, skipped: expected.validationSkipped } });
    expect(result).toMatchObject({
      folder: runFolder(),
      files: [
        "model.onnx",
        "model.onnx.md",
        "history.csv",
        "settings.yaml",
        "evaluation.json",
        "report.json",
        "report.html",
        "checkpoints",
        "tensorboard",
      ],
      aborted: false,
      steps: 9,
      epoch: expected.epoch,
      evaluation: expected.evaluation,
      skipped: [{ file: "red/broken.png" }],
      validationSkipped: [{ file: "blue/empty.jpg" }],
    });
    expect((await readdir(runFolder())).sort()).toEqual(result.files.toSorted());
    expect(stderr).toContain("broken.png");
    expect(stderr).toContain("empty.jpg");

    const again = await capture(["evaluate", at("model.onnx"), held(), "--json"]);
    const evaluated = JSON.parse(again.stdout);
    expect(evaluated.confusion).toEqual(expected.evaluation!.confusion);
    expect(evaluated.loss).toBeCloseTo(expected.evaluation!.loss, 5);
  });

  it("tells people how it went, holding out a part where there are no validation images", async () => {
    const { exitCode, stdout, stderr } = await capture(trainCommand("--epochs", "2", "--split", "66/34"));
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(
      /^The model is that of epoch [12], the best of 2: \d+\.\d % of [34] validation images correct \(95 % interval \d+\.\d to \d+\.\d %\)\.\n$/,
    );
    const plain = stderr
      .replaceAll(work, "…")
      .replaceAll(data, "…")
      .replaceAll(/\d+(\.\d+)? (images\/s|s\b|%)/g, "# $2")
      .replaceAll(/loss \d+\.\d+/g, "loss #")
      .replaceAll(", best so far", "");
    expect(plain).toMatchInlineSnapshot(`
      "Training xception, 3,522 parameters, on 9 images of 2 classes; validating on 4
      epoch 1/2: loss #, accuracy # %, validation loss #, validation accuracy # %, # images/s, # s
      epoch 2/2: loss #, accuracy # %, validation loss #, validation accuracy # %, # images/s, # s
      skipped: image "…/photos/train/red/broken.png": this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP.
      Wrote model.onnx, model.onnx.md, history.csv, settings.yaml, evaluation.json, report.json, report.html, checkpoints, tensorboard into …/run
      "
    `);
  });

  it("writes a report that needs nothing else: curves, images, cost and how to do it again", async () => {
    await capture(trainCommand("--val", held(), "--epochs", "1"));
    const report = await readFile(at("report.html"), "utf8");
    expect(report).toContain("<h1>Xception on photos/train</h1>");
    expect(report).toContain("red/broken.png");
    const { gallery } = decodeReport(await readFile(at("report.json"), "utf8"), "report.json");
    expect(gallery!.wrong.length).toBeGreaterThan(0);
    expect(report.match(/<img src="data:image\/png;base64,/g)?.length).toBe(6 + gallery!.wrong.length);
    expect(report).toContain("where the network found evidence of the class that it predicted (Grad-CAM)");
    await using explainer = await loadExplainer(at("model.onnx"), { platform });
    for (const { file, predicted, evidence } of gallery!.wrong) {
      const path = join(held(), file);
      const explanation = await explainer.explain(path, { label: predicted });
      const drawn = await overlaidImage(path, explanation, { codec: platform.images, fit: "fill", side: 160 });
      const { data: shown, ...size } = await platform.images.decode(evidence!, {});
      expect(size).toEqual({ width: 160, height: 160 });
      // The weights in the engine are folded, those in the file are not: rounding may move a color by one.
      const difference = shown.map((value, index) => Math.abs(value - drawn.data[index]!));
      expect(Math.max(...difference)).toBeLessThanOrEqual(1);
    }
    expect(report).not.toMatch(/src="http|href="http/);
    expect(report).toContain("22,910,480");
    const command = /<pre[^>]*><code>(.*?)<\/code>/s
      .exec(report)![1]!
      .replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
    expect(command).toBe(
      `xception train ${photos()} --output ${runFolder()} --val '${data}/it'\\''s held out' --image-size 71 ` +
        "--width 0.01 --middle-flow-repeats 0 --epochs 1 --batch-size 4 --learning-rate 0.01",
    );
  });
});

it("a report whose heat maps fail is written without them", async () => {
  const values = Object.fromEntries([
    ...["imageSize", "width", "middleFlowRepeats", "batchSize", "learningRate"].map((name, index) => [
      name,
      [71, 0.01, 0, 4, 0.01][index],
    ]),
    ...Object.entries({ epochs: 1, val: held() }),
  ]);
  const resolved = resolveSettings([{ source: "test", values, where: String }]);
  const ranks = { communicator: alone, threads: undefined, leave: () => {} };
  const flags = { output: runFolder(), ranks, tensorboard: false };
  const createSession = () => Promise.reject(new Error("out of memory"));
  const stderr: string[] = [];
  const io = { stdout: () => {}, stderr: (text: string) => stderr.push(text) } as unknown as CliIo;
  const run = await startRun(photos(), flags, resolved, platform);
  const failing = { ...platform, engine: { ...platform.engine, createSession } };
  await trainInto(await RunFolder.claim(runFolder(), {}), run, failing, io);
  expect(stderr.join("")).toContain("The report has no heat maps: out of memory\n");
  const { gallery } = decodeReport(await readFile(at("report.json"), "utf8"), "report.json");
  expect(gallery!.wrong.length).toBeGreaterThan(0);
  expect(gallery!.wrong.every(({ evidence }) => evidence === undefined)).toBe(true);
  expect(await readFile(at("report.html"), "utf8")).not.toContain("Grad-CAM");
});

describe("a folder that holds a run", () => {
  it("is kept, unless it is to be overwritten", async () => {
    await mkdir(runFolder());
    await writeFile(at("model.onnx"), "precious");
    await writeFile(at("notes.txt"), "mine");
    const before = await contents();
    expect(await capture(trainCommand())).toEqual({
      exitCode: 1,
      stdout: "",
      stderr:
        `error: folder "${runFolder()}": it already contains a run (model.onnx). ` +
        "Choose another folder, or replace that run with --overwrite.\n",
    });
    expect(await contents()).toEqual(before);

    // Even then nothing is lost before there is something to put in its place.
    const failing = ["--overwrite", "--optimizer", "sgd", "--learning-rate", "1e300", "--schedule", "constant"];
    const { exitCode, stderr } = await capture(trainCommand(...failing));
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/error: training, epoch 1, .* is NaN or infinite[,;] .* use a lower learning rate/);
    expect(await contents()).toEqual(before);

    await writeFile(at("report.html"), "old");
    expect((await capture(trainCommand("--overwrite", "--epochs", "1"))).exitCode).toBe(0);
    const after = await contents();
    expect(Object.keys(after)).toEqual([
      "evaluation.json",
      "history.csv",
      "model.onnx",
      "model.onnx.md",
      "notes.txt",
      "report.html",
      "report.json",
      "settings.yaml",
    ]);
    expect(after["notes.txt"]).toBe(before["notes.txt"]);
    expect(after["model.onnx"]).not.toBe(before["model.onnx"]);
  });
});

describe("stopped", () => {
  /** Presses Ctrl-C as soon as this text has appeared on stderr. */
  async function stopAt(text: string, ...flags: string[]) {
    const controller = new AbortController();
    let stderr = "";
    const result = await capture(trainCommand("--val", held(), "--epochs", "50", ...flags), {
      signal: controller.signal,
      stderr: (written) => {
        stderr += written;
        if (stderr.includes(text)) controller.abort();
      },
    });
    return { ...result, stderr };
  }

  it("in a later epoch: everything that was reached is saved, and it says how to go on", async () => {
    const { exitCode, stdout, stderr } = await stopAt("epoch 2/50", "--json");
    expect(exitCode).toBe(1);
    expect(stderr).toContain(
      `error: train: it was stopped after step 6, in epoch 3 of 50; the model so far is in ${at("model.onnx")}. To resume: ` +
        `xception train --resume -o ${runFolder()}\n`,
    );
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ aborted: true, steps: 6 });
    expect(await readFile(at("history.csv"), "utf8")).toBe(historyCsv(result.history));
    expect(result.history.length).toBe(2);
    const { provenance } = decodeModel(await readFile(at("model.onnx")), "model.onnx");
    expect(provenance!.epoch).toBe(result.epoch);
    expect(await readFile(at("report.html"), "utf8")).toContain("It was stopped after 6 steps.");
  });

  it("in the first epoch: the weights of that step are saved", async () => {
    const controller = new AbortController();
    const lines: string[] = [];
    const { exitCode, stdout } = await capture(trainCommand("--val", held(), "--epochs", "50"), {
      isTTY: true,
      signal: controller.signal,
      stderr: (text) => {
        lines.push(text);
        // The bar of the first epoch.
        if (text.includes("epoch 1/50")) controller.abort();
      },
    });
    expect(exitCode).toBe(1);
    expect(stdout).toBe("The model is that of step 1, before the end of the first epoch; it was not validated.\n");
    expect((await readdir(runFolder())).sort()).toEqual([
      "checkpoints",
      "history.csv",
      "model.onnx",
      "model.onnx.md",
      "report.html",
      "report.json",
      "settings.yaml",
      "tensorboard",
    ]);
    expect(decodeModel(await readFile(at("model.onnx")), "model.onnx").provenance).toMatchObject({
      epoch: 0,
      steps: 1,
    });
    expect(lines.at(-1)).toMatch(
      /^error: train: it was stopped after step 1, in epoch 1 of 50; the model so far is in /,
    );
  });

  it("before the first step: nothing is written", async () => {
    const { exitCode, stdout, stderr } = await stopAt("Training");
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(
      /error: train: it was stopped after step 0, in epoch 1 of 50; nothing was saved\. To train, run the same command again\./,
    );
    expect(await readdir(work)).toEqual([]);
  });
});

it("where the loss breaks later, the last good model stays, and a report of what there was", async () => {
  // One-cycle: its first rate, a 25th of the highest, still leaves finite numbers.
  const flags = [
    "--epochs",
    "30",
    "--optimizer",
    "sgd",
    "--learning-rate",
    "1e3",
    "--val",
    held(),
    "--batch-size",
    "12",
  ];
  const { exitCode, stderr } = await capture(trainCommand(...flags));
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/error: .*lower learning rate/);
  const [, epoch] = /The model of epoch (\d+) stays in (.*)model\.onnx\./.exec(stderr)!;
  const { provenance } = decodeModel(await readFile(at("model.onnx")), "model.onnx");
  expect(provenance!.epoch).toBe(Number(epoch));
  expect((await readdir(runFolder())).sort()).toEqual([
    "checkpoints",
    "evaluation.json",
    "history.csv",
    "model.onnx",
    "model.onnx.md",
    "report.html",
    "report.json",
    "settings.yaml",
    "tensorboard",
  ]);
});
