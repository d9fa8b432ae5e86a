import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeSafetensors } from "../../src/formats/safetensors.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

const network = xception({ inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0, classes: 2 });
const weights = syntheticWeights(network);

let work: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-finetune-"));
  await writeImages(join(work, "photos"), 5, 1);
  // As the published part of the ImageNet weights: the last block lacks its kernels.
  const part = new Map([...weights].filter(([name]) => !/^(block6_sepconv\d\/|predictions)/.test(name)));
  await writeFile(join(work, "part.safetensors"), writeSafetensors(part));
});
afterAll(() => rm(work, { recursive: true }));

const train = (run: string, ...flags: string[]) =>
  capture(["train", join(work, "photos"), "-o", join(work, run), ...smallTraining, "--epochs", "1", ...flags]);

test("weights that end early give an ordinary model with an earlier classifier, which goes on being trained", async () => {
  const flags = ["--weights", join(work, "part.safetensors"), "--unfreeze-from", "block5_sepconv2"];
  const { exitCode, stderr } = await train("run", ...flags);
  expect(stderr).toContain(
    "Starting from 78 weights of the safetensors; the classifier is on add_3, and later layers are left out; " +
      "reinitialized: predictions/kernel, predictions/bias\n",
  );
  expect(exitCode).toBe(0);
  const file = join(work, "run/model.onnx");
  const model = decodeModel(await readFile(file), "model.onnx");
  expect(model.architecture).toMatchObject({ family: "layers", output: "predictions" });
  for (const name of ["block1_conv1/kernel", "block5_sepconv1/pointwise_kernel", "block5_sepconv2_bn/moving_mean"]) {
    expect(model.weights.get(name), name).toEqual(weights.get(name));
  }
  expect(model.weights.get("block5_sepconv2/pointwise_kernel")).not.toEqual(
    weights.get("block5_sepconv2/pointwise_kernel"),
  );
  const classified = await capture(["classify", file, join(work, "photos/red/0.png"), "--json"]);
  expect(JSON.parse(classified.stdout)[0].predictions).toHaveLength(2);
  const more = await train("more", "--weights", file, "--head-on", "add_3");
  expect(more.stderr).toContain("Starting from 80 weights of the ");
});

test("a cache that is a file is told once", async () => {
  const cache = join(work, "part.safetensors");
  const flags = ["--weights", cache, "--head-epochs", "1", "--cache-dir", cache];
  const { exitCode, stderr } = await train("uncached", ...flags);
  expect(exitCode).toBe(0);
  const notes = stderr.split("\n").filter((line) => /features (that|could)/.test(line));
  expect(notes.map((note) => note.replaceAll(work, "WORK"))).toEqual([
    'The features could not be kept for the next time: folder "WORK/part.safetensors/features": it cannot be made (EEXIST: file ' +
      "already exists, mkdir 'WORK/part.safetensors'). Choose another folder.",
  ]);
});

test("going on with such a run gives the same bytes as never stopping", async () => {
  const flags = ["--weights", join(work, "part.safetensors"), "--epochs", "2", "--layer-decay", "0.5"];
  await train("whole", ...flags);
  const controller = new AbortController();
  const stopped = await capture(
    ["train", join(work, "photos"), "-o", join(work, "parts"), ...smallTraining, ...flags, "--checkpoint-steps", "1"],
    { signal: controller.signal, stderr: (text) => void (/epoch 1\/2/.test(text) && controller.abort()) },
  );
  expect(stopped.exitCode).toBe(1);
  const { exitCode, stderr } = await capture(["train", "-o", join(work, "parts"), "--resume"]);
  expect(stderr).toContain("Resuming after step ");
  expect(exitCode).toBe(0);
  const model = (run: string) => readFile(join(work, run, "model.onnx"));
  expect(Buffer.compare(await model("parts"), await model("whole"))).toBe(0);
});

test("the recipe trains the classifier first, on features that it computes once, and goes on from there", async () => {
  const cache = ["--cache-dir", join(work, "cache")];
  const flags = ["--recipe", "finetune", "--weights", join(work, "part.safetensors"), "--epochs", "2", ...cache];
  const first = await train("two", ...flags);
  expect(first.stderr).toMatch(/^features of the frozen network: 8\/8$/m);
  expect(first.stderr).toMatch(/^Head only, 20 epochs on 8 views: loss \d\.\d{3}, accuracy \d+\.0 %, [\d.]+ s$/m);
  expect(first.exitCode).toBe(0);
  const settings = await readFile(join(work, "two/settings.yaml"), "utf8");
  expect(settings).toContain("headEpochs: 20 # recipe finetune");
  expect(settings).toContain("unfreezeFrom: last # recipe finetune");
  expect(await readdir(join(work, "cache/features"))).toHaveLength(1);
  const report = JSON.parse(await readFile(join(work, "two/report.json"), "utf8"));
  expect(JSON.stringify(report)).toContain('"Classifier alone, first","value":"20 epochs"');
  const facts = (await readFile(join(work, "two/report.html"), "utf8")).replaceAll(/<[^>]+>\s*/g, "|");
  for (const fact of [
    /Weights to start from\|+part\.safetensors\|/,
    /Classifier alone, first\|+20 epochs\|/,
    /Frozen\|+all before the last block\|/,
  ]) {
    expect(facts).toMatch(fact);
  }

  const controller = new AbortController();
  let stderr = "";
  const stopped = await capture(
    ["train", join(work, "photos"), "-o", join(work, "halves"), ...smallTraining, ...flags],
    {
      signal: controller.signal,
      stderr: (text) => {
        stderr += text;
        if (text.includes("were computed before")) controller.abort();
      },
    },
  );
  expect(stopped.exitCode).toBe(1);
  expect(stderr).toContain("The features of 8 views were computed before.\n");
  expect(stderr).toMatch(/error: train: it was stopped while the head was trained; there is no model yet\.\n$/);
  expect(await readdir(join(work, "halves/checkpoints"))).toContain("step-00000000.safetensors");
  const again = ["train", "--resume", "-o", join(work, "halves"), ...cache, "--max-minutes", "1e-5"];
  expect((await capture(again)).stderr).toMatch(
    /there is no model yet\. The time limit was reached: --max-minutes 0\.00001\.\n$/,
  );
  const resumed = await capture(["train", "-o", join(work, "halves"), "--resume", ...cache]);
  expect(resumed.stderr).toContain("The features of 8 views were computed before.\n");
  expect(resumed.exitCode).toBe(0);
  const model = (run: string) => readFile(join(work, run, "model.onnx"));
  expect(Buffer.compare(await model("halves"), await model("two"))).toBe(0);
});

test("says what it cannot do, and warns of small batches", async () => {
  const from = ["--weights", join(work, "part.safetensors")];
  const { stderr } = await train("bn", ...from, "--batch-norm", "training");
  expect(stderr).toContain(
    "Warning: 14 batch normalizations use the statistics of batches of 4 images, which spoils their pretrained moving " +
      "statistics: leave out --batch-norm training, or use larger batches.\n",
  );
  const refused = await train("refused", ...from, "--unfreeze-from", "block6");
  expect(refused.exitCode).toBe(2);
  expect(refused.stderr).toContain('it has no layer and no block of this name; received "block6"');
  const nothing = await train("nothing", "--recipe", "finetune");
  expect(nothing.exitCode).toBe(2);
  expect(nothing.stderr).toContain(
    "option --weights: it is missing: fine-tuning needs weights to start from; expected imagenet, or a file with weights. To " +
      "train new weights, leave out --recipe finetune, --head-epochs and --unfreeze-from.",
  );
  const alone = await train("alone", "--head-on", "block5");
  expect(alone.exitCode).toBe(2);
  expect(alone.stderr).toContain(
    'option --head-on: there are no weights to start from; received "block5". Add --weights.',
  );
});
