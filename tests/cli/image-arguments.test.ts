import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { encodeModel } from "../../src/model/model-writer.ts";
import { evaluate, loadClassifier, loadModel, nodePlatform, readFolder, train } from "../../src/node.ts";
import { smallModel } from "../model/small-model.ts";
import { type Answer, serve } from "../runtime/local-server.ts";
import { noise } from "../tasks/images.ts";
import { capture } from "./capture.ts";

let folder: string;
let png: Uint8Array;
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "image-arguments-"));
  await writeFile(at("model.onnx"), encodeModel(smallModel()));
  const { data } = noise(1, [71, 80, 3]);
  png = await nodePlatform.images.encodePng({ width: 80, height: 71, data });
  await mkdir(at("photos", "cat"), { recursive: true });
  await mkdir(at("photos", "dog"));
  for (const name of ["cat/1.png", "dog/2.png"]) await writeFile(at("photos", name), png);
  for (const name of ["a.heic", "b.HEIC", "c.svg", "README"]) await writeFile(at("photos", "cat", name), "");
});
afterAll(() => rm(folder, { recursive: true }));

const cache = () => ["--cache-dir", at("cache")];
const withoutPath = (text: string) => text.replaceAll(folder, "…").replace(/127\.0\.0\.1:\d+/g, "HOST");

it("classifies images by URL like files", async () => {
  const server = await serve(png);
  try {
    const argv = ["classify", at("model.onnx"), server.url, at("photos", "cat", "1.png"), "--json", ...cache()];
    const { exitCode, stdout } = await capture(argv);
    expect(exitCode).toBe(0);
    const [remote, local] = JSON.parse(stdout);
    expect(remote.file).toBe(server.url);
    expect(remote.predictions).toEqual(local.predictions);
  } finally {
    server.close();
  }
});

it.each<[string, Answer, string]>([
  [
    "missing",
    (_, response) => response.writeHead(404).end(),
    "download of http://HOST/folder/weights.h5: the server answered 404 Not Found. Check the URL, or download the image and name the file.",
  ],
  [
    "a web page",
    (_, response) => response.writeHead(200).end("<html>"),
    "download of http://HOST/folder/weights.h5: the server sent a web page in place of the file. Check the URL, or download the image and name the file.",
  ],
  [
    "too large",
    (_, response) => response.writeHead(200, { "content-length": 200e6 + 1 }).write("x"),
    "download of http://HOST/folder/weights.h5: the file is larger than the limit of 200 MB. Check the URL, or download the image and name the file.",
  ],
])("an image whose URL is %s is that image's error", async (_, answer, message) => {
  const server = await serve(png, answer);
  try {
    const argv = ["classify", at("model.onnx"), server.url, at("photos", "cat", "1.png"), "--json", ...cache()];
    const { exitCode, stdout, stderr } = await capture([...argv, "--refresh"]);
    expect(exitCode).toBe(1);
    const [remote, local] = JSON.parse(stdout);
    expect(withoutPath(remote.error)).toBe(message);
    expect(local.predictions).toHaveLength(3);
    expect(stderr).toContain("error: classify: 1 of 2 images could not be read.\n");
  } finally {
    server.close();
  }
});

it.each([
  ["classify", []],
  ["explain", ["--json"]],
  ["embed", ["-o", "e.csv", "--overwrite"]],
] as const)("%s counts the files of a folder that are not images", async (name, more) => {
  const flags = more.map((word) => (word === "e.csv" ? at("e.csv") : word));
  const { exitCode, stderr } = await capture([name, at("model.onnx"), at("photos"), ...flags]);
  expect(exitCode).toBe(0);
  expect(withoutPath(stderr)).toContain(
    "note: Skipped files in …/photos that are not supported images: 2 .heic, 1 .svg, 1 without extension\n",
  );
});

const tooMany =
  "the image has too many pixels; expected at most 5679 pixels. If you trust its source, raise the option pixelLimit (--pixel-limit).";

it("--pixel-limit and pixelLimit limit images, and are the remedy that the error names", async () => {
  const [image, limit] = [at("photos", "cat", "1.png"), ["--pixel-limit", "5679"]];
  const refused = await capture(["classify", at("model.onnx"), image, "--json", ...limit]);
  expect(refused.exitCode).toBe(1);
  expect(JSON.parse(refused.stdout)[0].error).toContain(tooMany);
  expect((await capture(["classify", at("model.onnx"), image, "--pixel-limit", "5680"])).exitCode).toBe(0);
  expect((await capture(["classify", at("model.onnx"), image, "--pixel-limit", "0"])).stderr).toBe(
    'error: option --pixel-limit: this value is not allowed; received "0"; expected a whole number from 1.\n',
  );
  for (const argv of [
    ["evaluate", at("model.onnx"), at("photos")],
    ["embed", at("model.onnx"), image, "-o", at("none.csv")],
    ["explain", at("model.onnx"), image],
    ["verify", at("model.onnx"), "--image", image],
    ["train", at("photos"), "-o", at("run"), "--val", at("photos")],
  ]) {
    const { exitCode, stdout, stderr } = await capture([...argv, ...limit]);
    expect({ argv, exitCode }).toEqual({ argv, exitCode: 1 });
    expect(stdout + stderr).toContain("the image has too many pixels");
  }

  await using classifier = await loadClassifier(at("model.onnx"), { pixelLimit: 5679 });
  await expect(classifier.classify(image)).rejects.toThrow(tooMany);
  const photos = await readFolder(at("photos"));
  const model = await loadModel(at("model.onnx"));
  await expect(evaluate(model, photos, { pixelLimit: 5679 })).rejects.toThrow("too many pixels");
  await expect(train(photos, { pixelLimit: 5679, imageSize: 71 })).rejects.toThrow("too many pixels");
  await expect(loadClassifier(at("model.onnx"), { pixelLimit: 1.5 })).rejects.toThrow(
    "option pixelLimit: this value is not allowed; received 1.5; expected a whole number from 1.",
  );
});

it("an unknown option of train is an error, not ignored", async () => {
  const photos = await readFolder(at("photos"));
  await expect(train(photos, { epoch: 3 } as object)).rejects.toThrow(
    /^train option "epoch": there is no such option; expected one of .*epochs, /,
  );
  await expect(train(photos, { val: at("photos") } as object)).rejects.toThrow(/^train option "val"/);
});

it("readFolder accepts a single class to evaluate on", async () => {
  await mkdir(at("one", "cat"), { recursive: true });
  await writeFile(at("one", "cat", "1.png"), png);
  await expect(readFolder(at("one"))).rejects.toThrow("there is only one class");
  const { evaluation, absent } = await evaluate(
    await loadModel(at("model.onnx")),
    await readFolder(at("one"), { leastClasses: 1 }),
  );
  expect(evaluation.images).toBe(1);
  expect(absent).toEqual(["dog", "owl"]);
});
