import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import type { SessionOptions } from "../../src/base/platform.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "../tasks/images.ts";
import { capture } from "./capture.ts";

let folder: string;
let model: string;
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-classify-"));
  model = at("model.onnx");
  await writeFile(model, encodeModel(smallModel()));
  await mkdir(at("photos", "more"), { recursive: true });
  await mkdir(at("photos", ".thumbnails"));
  await mkdir(at("empty"));
  for (const [index, name] of ["b.png", "a.png", "more/c.png", ".thumbnails/a.png"].entries()) {
    const { data } = noise(1, [71, 80, 3], index + 1);
    await writeFile(at("photos", name), await nodePlatform.images.encodePng({ width: 80, height: 71, data }));
  }
  await writeFile(at("photos", "notes.txt"), "not an image");
  await writeFile(at("broken.jpg"), "not an image");
});
afterAll(() => rm(folder, { recursive: true }));

/** What the library says of an image. @param session as the command's, which is not optimized for a single image. */
async function answer(path: string, session: SessionOptions = {}) {
  const classifier = await loadClassifier(model, { platform: nodePlatform, session });
  try {
    return await classifier.classify(path);
  } finally {
    await classifier.dispose();
  }
}

/** The note on the text file among the photos. */
function skippedNote(): string {
  return `note: Skipped files in ${at("photos")} that are not supported images: 1 .txt\n`;
}

describe("xception classify", () => {
  it("gives JSON of files and of the images below folders, in order", async () => {
    const { exitCode, stdout, stderr } = await capture([
      "classify",
      model,
      at("photos"),
      at("photos", "a.png"),
      "--json",
    ]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: skippedNote() });
    const results = JSON.parse(stdout) as { file: string; predictions: { probability: number }[] }[];
    const files = ["a.png", "b.png", "more/c.png", "a.png"].map((name) => at("photos", name));
    expect(results.map(({ file }) => file)).toEqual(files);
    for (const [index, { predictions }] of results.entries()) {
      const close = (await answer(files[index]!)).map((each) => ({
        ...each,
        probability: expect.closeTo(each.probability, 5),
      }));
      expect(predictions).toEqual(close);
    }
  });

  it("prints the likeliest classes with --top", async () => {
    const image = at("photos", "a.png");
    const [best, second] = await answer(image);
    const line = ({ label, probability }: { label: string; probability: number }) =>
      `${(100 * probability).toFixed(1).padStart(7)} %  ${label}\n`;
    const { stdout } = await capture(["classify", model, image, "--top", "2"]);
    expect(stdout).toBe(`${image}\n${line(best!)}${line(second!)}`);
  });

  it("reads an image from standard input", async () => {
    const { data } = noise(1, [71, 80, 3], 1);
    const stdin = () => nodePlatform.images.encodePng({ width: 80, height: 71, data });
    const { stdout } = await capture(["classify", model, "-", "--json"], { stdin });
    expect(JSON.parse(stdout)).toEqual([
      { file: "-", predictions: await answer(at("photos", "b.png"), { once: true }) },
    ]);
  });

  it("goes on beside images that cannot be read, and exits with 1", async () => {
    const images = [at("broken.jpg"), at("photos", "a.png"), at("none.jpg")];
    const { exitCode, stdout, stderr } = await capture(["classify", model, ...images, "--json"]);
    expect(exitCode).toBe(1);
    expect(stderr).toBe("error: classify: 2 of 3 images could not be read.\n");
    const [broken, fine, none] = JSON.parse(stdout) as object[];
    const error = expect.stringContaining("this is not a supported image");
    expect(broken).toEqual({ file: images[0], predictions: [], error });
    expect(fine).toEqual({ file: images[1], predictions: await answer(images[1]!) });
    expect(none).toEqual({
      file: images[2],
      predictions: [],
      error: `image "${images[2]}": there is no such file.`,
    });

    const text = await capture(["classify", model, ...images]);
    expect(text.exitCode).toBe(1);
    expect(text.stdout).toContain(`${images[2]}\n  not classified: image "${images[2]}": there is no such file.\n`);
  });

  it("goes on after a folder without images", async () => {
    const { exitCode, stdout } = await capture(["classify", model, at("empty"), at("photos", "a.png"), "--json"]);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toEqual([
      { file: at("empty"), predictions: [], error: expect.stringContaining("folder") },
      { file: at("photos", "a.png"), predictions: await answer(at("photos", "a.png")) },
    ]);
  });

  it("takes a file of Keras, bare weights with the network's flags, and says what it takes for granted", async () => {
    const keras = join(root, "tests/golden/formats/small.keras");
    const names = at("names.txt");
    await writeFile(names, "ant\nbee\ncat\ndog\nelk\n");
    const whole = await capture(["classify", keras, at("photos", "a.png"), "--labels", names, "--json"]);
    expect(whole.exitCode).toBe(0);
    expect(whole.stderr).toBe(
      "note: The file does not specify preprocessing; pixel/127.5 - 1 is assumed, as in keras.applications; " +
        "images are stretched to 40×36 by bicubic interpolation.\n",
    );
    const [{ predictions }] = JSON.parse(whole.stdout) as [{ predictions: { label: string; index: number }[] }];
    for (const { label, index } of predictions) expect(label).toBe(["ant", "bee", "cat", "dog", "elk"][index]);

    expect((await capture(["convert", model, at("bare.weights.h5")])).exitCode).toBe(0);
    const flags = ["--input-shape", "71x80x3", "--classes", "3", "--width", "0.05", "--middle-flow-repeats", "1"];
    const bare = await capture(["classify", at("bare.weights.h5"), at("photos", "a.png"), ...flags, "--json"]);
    expect({ ...bare, stdout: "" }).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    const [answered] = JSON.parse(bare.stdout) as [{ predictions: { label: string; probability: number }[] }];
    for (const [rank, { label, probability }] of (await answer(at("photos", "a.png"))).entries()) {
      expect(answered.predictions[rank]!.label).toBe(label);
      expect(answered.predictions[rank]!.probability).toBeCloseTo(probability, 5);
    }
  });

  it.each([
    ["a missing model", "none.onnx", "photos", 'file "…/none.onnx": there is no such file.'],
    ["a folder without images", "model.onnx", "empty", 'folder "…/empty": it contains no images.'],
    [
      "an image in place of the model",
      "broken.jpg",
      "photos",
      'file "…/broken.jpg": unknown file format; received "the bytes 6e 6f 74 20 61 6e 20 69 at offset 0"',
    ],
  ])("says in one line what is wrong with %s", async (_, file, images, message) => {
    const { exitCode, stdout, stderr } = await capture(["classify", at(file), at(images)]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr.replaceAll(folder, "…")).toContain(`error: ${message}`);
    expect(stderr.replace(skippedNote(), "").split("\n")).toHaveLength(2);
  });

  it("refuses a wrong count and standard input twice", async () => {
    const image = at("photos", "a.png");
    const count = await capture(["classify", model, image, "--top", "0"]);
    expect(count).toMatchObject({ exitCode: 2, stdout: "" });
    expect(count.stderr).toBe(
      'error: option --top: this value is not allowed; received "0"; expected a whole number from 1.\n',
    );
    const twice = await capture(["classify", model, "-", image, "-"]);
    expect(twice).toMatchObject({ exitCode: 2, stdout: "" });
    expect(twice.stderr).toBe('error: argument "-": the standard input can be read only once.\n');
  });

  it("stops when interrupted", async () => {
    const result = await capture(["classify", model, at("photos")], { signal: AbortSignal.abort() });
    expect(result).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `${skippedNote()}error: prediction: it was stopped by the caller.\n`,
    });
  });
});
