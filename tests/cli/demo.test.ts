import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DemoImages, type DemoRecipe, demoRecipe, readDemoImages } from "../../apps/cli/demo/data.ts";
import { claimDemoFolder, demoFiles, runDemo } from "../../apps/cli/demo/demo.ts";
import { conclusion } from "../../apps/cli/demo/description.ts";
import type { CliIo } from "../../apps/cli/io.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { plotSvg } from "../../src/report/plot/plot.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { capture } from "./capture.ts";

/** The demo in a blink: a few emoji of each class, and the smallest Xception there is. */
const tinyRecipe: DemoRecipe = {
  ...demoRecipe,
  imageSize: 71,
  width: 0.01,
  middleFlowRepeats: 0,
  epochs: 2,
  batchSize: 5,
};
let images: DemoImages;
let folder: string;
/** A demo in the folder `whole`. */
let whole: Awaited<ReturnType<typeof tinyDemo>>;
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-demo-"));
  const { training, test } = await readDemoImages();
  images = { training: firstOfEach(training, 4), test: firstOfEach(test, 4) };
  whole = await tinyDemo("whole");
});
afterAll(() => rm(folder, { recursive: true }));

function firstOfEach({ classes, samples }: ImageDataset, count: number): ImageDataset {
  return {
    classes,
    samples: classes.flatMap((_, label) => samples.filter((sample) => sample.label === label).slice(0, count)),
  };
}

function silentIo(): CliIo & { written: string[] } {
  const written: string[] = [];
  return {
    stdin: async () => new Uint8Array(),
    stdout: () => expect.fail("the demo itself reports on stderr"),
    stderr: (text) => void written.push(text),
    isTTY: false,
    signal: new AbortController().signal,
    written,
  };
}

async function tinyDemo(name: string, recipe: Partial<DemoRecipe> = {}, io: CliIo = silentIo()) {
  const claimed = await claimDemoFolder(at(name), platform.files);
  return runDemo(claimed, images, { ...tinyRecipe, ...recipe }, platform, io);
}

describe("the demo's files", () => {
  it("are a model, its history, its test, the network's image and a report", async () => {
    const { training, test, fingerprint } = whole;
    expect((await readdir(at("whole"))).sort()).toEqual(demoFiles.toSorted());

    const bytes = await readFile(at("whole", "model.onnx"));
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(fingerprint);
    const again = await evaluate(decodeModel(bytes), images.test, { platform });
    expect(again.evaluation).toEqual(test.evaluation);
    const written = JSON.parse(await readFile(at("whole", "evaluation.json"), "utf8"));
    expect(written).toEqual({ test: { ...test.evaluation, skipped: [] } });
    expect(test.evaluation.images).toBe(20);

    const history = await readFile(at("whole", "history.csv"), "utf8");
    expect(history.trimEnd().split("\r\n")).toHaveLength(1 + 2);
    expect(training.steps).toBe(2 * 4);
    expect(await readFile(at("whole", "model.svg"), "utf8")).toBe(await plotSvg(xception()));
  });

  it("say who drew the images, with the images inside and nothing to be loaded", async () => {
    const report = await readFile(at("whole", "report.html"), "utf8");
    expect(report).toContain("Noto Emoji, © Google, Apache License 2.0");
    expect(report).toContain("Twemoji, © Twitter, Inc and other contributors, CC-BY 4.0");
    expect(report.match(/<img src="data:image\/png;base64,/g)!.length).toBeGreaterThanOrEqual(12);
    expect(report).not.toMatch(/(src|href)="(?!data:|#)/);
    expect(report).toContain("Xception, 0.01 times as wide, 0 blocks in the middle flow");
    expect(report).toContain("xception demo --seed 0 --epochs 2");
    expect(report).toContain("Google: 4 flags, 4 smileys, 4 people, 4 animals &#38; plants, 4 food");
    const { provenance } = decodeModel(await readFile(at("whole", "model.onnx")));
    expect(provenance).toMatchObject({ demo: "emoji by Google, tested on emoji by Twitter", recipe: { epochs: 2 } });
  });

  it("are the same for the same seed, and others for another", async () => {
    await mkdir(at("empty"));
    expect((await tinyDemo("empty")).fingerprint).toBe(whole.fingerprint);
    expect((await tinyDemo("empty", { seed: 4 })).fingerprint).not.toBe(whole.fingerprint);
  });

  it("take the place of an earlier demo, of nothing else", async () => {
    await expect(claimDemoFolder(at("whole"), platform.files)).resolves.toBeDefined();
    await mkdir(at("other"));
    for (const name of ["a.txt", "b.txt", "model.onnx", "z.txt"]) await writeFile(at("other", name), "mine");
    await expect(claimDemoFolder(at("other"), platform.files)).rejects.toThrow(
      `folder "${at("other")}": it contains something other than an earlier demo (a.txt, b.txt, model.onnx, …). Choose another folder with --output.`,
    );
    expect(await readFile(at("other", "model.onnx"), "utf8")).toBe("mine");
  });
});

describe("an interrupted demo", () => {
  it.each([
    ["training", "training: 3/8", "demo: it was stopped after step 3 of its training; nothing was written."],
    ["testing", "testing: 16/20", "demo: it was stopped during its test; nothing was written."],
    [
      "drawing the report",
      "testing: 20/20",
      "demo: it was stopped before its files were written; nothing was written.",
    ],
  ])("says so in one line and leaves nothing behind while %s", async (phase, sign, message) => {
    const interruption = new AbortController();
    const io = {
      ...silentIo(),
      stderr: (text: string) => {
        if (text.startsWith(sign)) interruption.abort();
      },
      signal: interruption.signal,
    };
    await expect(tinyDemo(phase, {}, io)).rejects.toThrow(new RegExp(`^${message}$`));
    await expect(readdir(at(phase))).rejects.toThrow("ENOENT");
  });

  it("does not begin its test", async () => {
    const stopped = { ...silentIo(), signal: AbortSignal.abort() };
    await expect(tinyDemo("never", {}, stopped)).rejects.toThrow("stopped after step 0 of its training");
  });
});

describe("what the demo says", () => {
  it("begins with the networks and the images", async () => {
    const io = { ...silentIo(), signal: AbortSignal.abort() };
    const { imageSize, width, middleFlowRepeats } = demoRecipe;
    const started = tinyDemo("words", { imageSize, width, middleFlowRepeats, epochs: 1 }, io);
    await expect(started).rejects.toThrow("stopped after step 0");
    expect(io.written[0]).toMatchInlineSnapshot(`
      "Xception, built from scratch: 22,910,480 parameters, 22,855,952 trainable.
      For this demo a quarter as wide, with 2 blocks in the middle flow, for images of 72×72: 734,469 parameters, 727,349 trainable.

      Training images: 20 emoji by Google
        4 flags, 4 smileys, 4 people, 4 animals & plants, 4 food
      Test images: the same kinds of emoji, 20 of them, by Twitter

      Training for 1 epoch; Ctrl-C stops it without writing anything.

      "
    `);
  });

  it("ends with the test and how to get it again", async () => {
    const text = conclusion(whole, images, { ...tinyRecipe, seed: 7 }, 80);
    const right = (100 * whole.test.evaluation.top1).toFixed(1);
    expect(text).toContain(
      `Accuracy on emoji by an artist it was not trained on: ${right} %; always predicting flags: 20.0 %.`,
    );
    expect(text).toContain(`Seed 7 gives a bit-identical model on this machine.`);
    expect(text).toContain(whole.fingerprint);
  });
});

describe("xception demo", () => {
  it("runs from end to end, and gives JSON", async () => {
    const { exitCode, stdout, stderr } = await capture(["demo", "--epochs", "1", "-o", at("cli"), "--json"]);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    const { history, evaluation, sha256, ...rest } = JSON.parse(stdout);
    expect(rest).toMatchObject({ folder: at("cli"), files: demoFiles, seed: 0, epochs: 1, steps: 17 });
    expect(history).toHaveLength(1);
    expect(evaluation.images).toBe(1115);
    expect(JSON.parse(await readFile(at("cli", "evaluation.json"), "utf8"))).toEqual({
      test: { ...evaluation, skipped: [] },
    });
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(stderr).toContain("Training images: 1,115 emoji by Google");
    expect(stderr).toContain("training: 17/17, epoch 1/1, loss ");
    expect(stderr).toContain(`Open ${at("cli", "report.html")} in a browser.\n`);
  }, 240_000);

  it.each([
    [["--epochs", "0"], 2, 'option --epochs: this value is not allowed; received "0"; expected a whole number from 1.'],
    [["--seed", "one"], 2, 'option --seed: this value is not allowed; received "one"; expected a whole number from 0.'],
    [["-o", "/none/demo"], 1, 'folder "/none/demo": the folder /none does not exist. Create it first.'],
  ])("refuses %j in one line", async (flags, code, message) => {
    const { exitCode, stdout, stderr } = await capture(["demo", "-o", at("refused"), ...flags]);
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: code, stdout: "", stderr: `error: ${message}\n` });
  });
});
