import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { EpochRecord } from "../../src/base/records.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let work: string;
const at = (...names: string[]) => join(work, ...names);

/** Blue and red images; those with an even number are also "even". */
const labels = ["blue", "red"].flatMap((color) =>
  [0, 1, 2, 3, 4, 5].map((index) => [`${color}/${index}.png`, index % 2 === 0 ? [color, "even"] : [color]] as const),
);

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-multi-"));
  await writeImages(at("photos"), 6, 1);
  await writeFile(at("labels.csv"), labels.map(([file, names]) => `${file},${names.join(";")}\n`).join(""));
  await writeFile(at("labels.json"), JSON.stringify(Object.fromEntries(labels)));
  await writeFile(at("weights.json"), '{"blue": 1, "red": 1, "even": 0}');
});
afterAll(() => rm(work, { recursive: true }));

it("trains a sigmoid for each label, keeps the epoch with the highest MAP@100, and tests it again", async () => {
  const data = ["--labels-file", at("labels.csv"), "--val", at("photos"), "--val-labels-file", at("labels.json")];
  const flags = [...smallTraining, "--epochs", "8", "--augment", "none", "--map-weights", at("weights.json"), "--json"];
  const { exitCode, stdout, stderr } = await capture(["train", at("photos"), "-o", at("run"), ...data, ...flags]);
  expect({ exitCode, stderr: stderr.includes("on 12 images of 3 classes") }).toEqual({ exitCode: 0, stderr: true });
  const { evaluation, history, epoch } = JSON.parse(stdout);
  expect(history.length).toBe(8);
  const precisions: number[] = history.map((record: EpochRecord) => record.validationPrecision);
  expect(precisions[epoch - 1]).toBe(evaluation.meanAveragePrecision);
  expect(Math.max(...precisions)).toBe(evaluation.meanAveragePrecision);
  expect(stderr).toContain(`MAP@100 ${(100 * precisions[7]!).toFixed(1)} %, `);
  const [header, first] = (await readFile(at("run", "history.csv"), "utf8")).split("\r\n");
  const column = header!.split(",").indexOf("validation_map100");
  expect(Number(first!.split(",")[column])).toBe(precisions[0]);
  const model = decodeModel(await readFile(at("run", "model.onnx")), "model");
  expect(model.labels).toEqual(["blue", "even", "red"]);
  expect(model.architecture).toMatchObject({ options: { classifierActivation: "sigmoid", classes: 3 } });
  expect(JSON.stringify(model.provenance)).not.toContain(work);

  // The weighted mean by hand: blue and red count, even does not.
  const [blue, , red] = evaluation.perClass;
  expect(evaluation.meanAveragePrecision).toBeCloseTo((blue.averagePrecision + red.averagePrecision) / 2, 12);
  expect(evaluation.perClass.map(({ support }: { support: number }) => support)).toEqual([6, 6, 6]);

  const again = ["evaluate", at("run", "model.onnx"), at("photos"), "--labels-file", at("labels.json")];
  const tested = JSON.parse((await capture([...again, "--map-weights", at("weights.json"), "--json"])).stdout);
  expect(tested.meanAveragePrecision).toBeCloseTo(evaluation.meanAveragePrecision, 6);
  const uniform = await capture(again);
  expect(uniform.stdout).toContain("Mean average precision (MAP@100): ");
  expect(await readFile(at("run", "report.html"), "utf8")).toContain("MAP@100");
  expect(epoch).toBeGreaterThan(0);
});

it.each([
  [
    ["--labels-file", "labels.csv", "--val", "photos"],
    "option --val-labels-file: the images of --val need labels too; expected --val-labels-file together with --labels-file and --val.",
  ],
  [
    ["--val-labels-file", "labels.csv"],
    'option --val-labels-file: there are no images for it; received "WORK/labels.csv"; expected --val-labels-file together with --labels-file and --val.',
  ],
  [
    ["--map-weights", "weights.json"],
    'option --map-weights: MAP@100 is computed only for images with several labels; received "WORK/weights.json"; ' +
      "expected --map-weights together with --labels-file.",
  ],
])("refused: %j", async (flags, message) => {
  const words = flags.map((word) => (word.startsWith("--") ? word : at(word)));
  const { exitCode, stderr } = await capture(["train", at("photos"), "-o", at("refused"), ...smallTraining, ...words]);
  expect({ exitCode, stderr: stderr.replaceAll(work, "WORK") }).toEqual({ exitCode: 2, stderr: `error: ${message}\n` });
});

it("refuses to go on with other weights of classes, and does not advise to try that again", async () => {
  const counts = at("counts.json");
  await writeFile(counts, '{"blue": 1, "red": 1, "even": 0}');
  const data = ["--labels-file", at("labels.csv"), "--val", at("photos"), "--val-labels-file", at("labels.json")];
  const controller = new AbortController();
  const stopped = await capture(
    [
      ...["train", at("photos"), "-o", at("stopped"), ...data, ...smallTraining],
      "--epochs",
      "3",
      "--map-weights",
      counts,
    ],
    { signal: controller.signal, stderr: (text) => void (/epoch 1\/3/.test(text) && controller.abort()) },
  );
  expect(stopped.exitCode).toBe(1);
  await writeFile(counts, '{"blue": 1, "red": 2, "even": 0}');
  const { exitCode, stderr } = await capture(["train", "--resume", "-o", at("stopped")]);
  expect(exitCode).toBe(2);
  expect(stderr.replaceAll(work, "WORK").replace(/step \d+/, "step N")).toBe(
    "The checkpoint of step N stays in WORK/stopped.\n" +
      "error: train option resume: the checkpoint belongs to another run: it differs in mapWeights; received " +
      '{"mapWeights":[1,0,2]}; expected {"mapWeights":[1,0,1]}. Use the options and images it started with, or start ' +
      "a new run without resume.\n",
  );
});

it("says how many images have no label and are left out, of both folders", async () => {
  const most = labels.slice(1).map(([file, names]) => `${file},${names.join(";")}\n`);
  await writeFile(at("most.csv"), most.join(""));
  await writeFile(at("few.csv"), "file,labels\nred/0.png,red\nred/1.png,\nred/2.png,red;even\nblue/0.png,blue\n");
  const data = ["--labels-file", at("few.csv"), "--val", at("photos"), "--val-labels-file", at("most.csv")];
  const length = ["--batch-size", "3", "--epochs", "1"];
  const trained = await capture(["train", at("photos"), "-o", at("few"), ...data, ...smallTraining, ...length]);
  expect(trained.stderr.split("\n").slice(0, 2)).toEqual([
    "Training xception, 3,547 parameters, on 3 images of 3 classes; validating on 11",
    "10 images have no label in the file; left out",
  ]);
  const test = ["evaluate", at("few/model.onnx"), at("photos"), "--labels-file", at("most.csv")];
  const [first] = (await capture(test)).stderr.split("\n");
  expect(first).toBe("note: 1 image has no label in the file; left out");
});

it("refuses a file of labels that is none", async () => {
  const flags = ["--labels-file", at("weights.json")];
  const { exitCode, stderr } = await capture(["train", at("photos"), "-o", at("refused"), ...smallTraining, ...flags]);
  expect(exitCode).toBe(1);
  expect(stderr.replaceAll(work, "WORK")).toMatch(/^error: file "WORK\/weights\.json", field blue: /);
});
