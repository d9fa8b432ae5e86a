import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { build } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import type { ClassProbability } from "../../src/base/records.ts";
import type { ImagePreprocessing } from "../../src/model/model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import type { PreprocessingOptions } from "../../src/model/preprocessing.ts";
import { convert, loadClassifier, nodePlatform } from "../../src/node.ts";
import { cardMarkdown } from "../../src/tasks/card/card.ts";
import { openSubject } from "../../src/tasks/card/subject.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "./images.ts";

const python = process.env.PYTHON ?? "python3";
const run = (program: string, ...words: readonly string[]): Promise<{ stdout: string }> =>
  promisify(execFile)(program, words, { cwd: folder });
let folder: string;
let hasPackages = false;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "card-python-"));
  const photo = { width: 133, height: 97, data: noise(1, [97, 133, 3]).data };
  // PNG: the decoders of JPEG differ. Pillow recognizes files by their content.
  await writeFile(join(folder, "photo.jpg"), await nodePlatform.images.encodePng(photo));
  build(root);
  await mkdir(join(folder, "node_modules"));
  await symlink(root, join(folder, "node_modules", "xception-ts"), "junction");
  hasPackages = await run(python, "-c", "import numpy, onnxruntime, PIL").then(
    () => true,
    () => false,
  );
});
afterAll(() => rm(folder, { recursive: true }));

const small = smallModel();
const gray = smallModel({ inputShape: [71, 80, 1] });
const images: ImagePreprocessing = { ...small.preprocessing, interpolation: "bicubic" };
const file = (preprocessing: ImagePreprocessing, model = small) => encodeModel({ ...model, preprocessing });
type Case = readonly [string, () => string | Uint8Array | Promise<Uint8Array>, PreprocessingOptions];
const plain = async (bytes: Uint8Array) => (await convert(bytes, { to: "onnx-graph" })).bytes;

it.for<Case>([
  ["a model file that resizes", () => file({ ...images, fit: "cover", cropRatio: 0.9 }), {}],
  ["a model file of a fixed size", () => file(small.preprocessing), {}],
  ["a grayscale model file", () => file(images, gray), {}],
  ["a plain graph, cropped", () => plain(file({ ...images, fit: "cover", cropRatio: 0.875 })), {}],
  ["a plain graph, padded", () => plain(file({ ...images, fit: "contain", interpolation: "bilinear" })), {}],
  ["a grayscale graph", () => plain(file({ ...images, interpolation: "nearest" }, gray)), {}],
  ["a graph of PyTorch that ends in logits", () => "tests/golden/formats/torch-plain.onnx", {}],
  ["a graph that reads BGR", () => "tests/golden/formats/torch-plain.onnx", { preprocess: "caffe", fit: "cover" }],
])("the Python program of a card predicts the same: %s", async ([name, make, options], context) => {
  if (!hasPackages) return context.skip(`${python} has not all of onnxruntime, numpy and pillow`);
  const made = await make();
  const path = typeof made === "string" ? made : join(folder, "model.onnx");
  if (typeof made !== "string") await writeFile(path, made);
  // Older files leave resizing to the decoder, which is not Pillow.
  const resize = made instanceof Uint8Array && name.includes("fixed size") ? { interpolation: "bicubic" as const } : {};
  await using classifier = await loadClassifier(path, { ...options, ...resize });
  const subject = await openSubject(path, nodePlatform, options);
  const [, code] = /```python\n(.*?)```/s.exec(await cardMarkdown(subject))!;
  const absolute = code!.replace(
    /InferenceSession\("[^"]*"\)/,
    `InferenceSession(${JSON.stringify(join(process.cwd(), path))})`,
  );
  const program = typeof made === "string" ? absolute : code!;
  await writeFile(join(folder, "program.py"), program);
  const { stdout } = await run(python, "program.py");
  const expected = await classifier.classify(join(folder, "photo.jpg"));
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
  const shown = ({ label, index }: ClassProbability) => (subject.graph ? String(index) : label);
  expect(lines.map(([label]) => label)).toEqual(expected.map(shown));
  // Pillow's resizing differs by 1 of 255 in some values (docs/adr/0005); a shift by one pixel would change more than 2e-3.
  const tolerance = /image\.resize|ImageOps\.pad/.test(code!) ? 5e-4 : 1e-5;
  for (const [index, [, probability]] of lines.entries()) {
    expect(Math.abs(Number(probability) - expected[index]!.probability)).toBeLessThan(tolerance);
  }
});

it.for<[string, () => Uint8Array | string, PreprocessingOptions]>([
  ["a model file", () => file({ ...images, fit: "cover" }), {}],
  ["a graph of another tool", () => "tests/golden/formats/torch-plain.onnx", { preprocess: "caffe", fit: "cover" }],
])("the Node program of a card predicts the same: %s", async ([, make, options]) => {
  const made = make();
  const path = typeof made === "string" ? join(root, made) : join(folder, "model.onnx");
  if (typeof made !== "string") await writeFile(path, made);
  await using classifier = await loadClassifier(path, options);
  const card = await cardMarkdown(await openSubject(path, nodePlatform, options), options);
  const [, code] = /### Node\n\n```js\n(.*?)```/s.exec(card)!;
  await writeFile(join(folder, "program.mjs"), code!.replace(`"${basename(path)}"`, JSON.stringify(path)));
  const { stdout } = await run(process.execPath, "program.mjs");
  const expected = await classifier.classify(join(folder, "photo.jpg"));
  expect(stdout).toBe(expected.map(({ label, probability }) => `${label} ${probability}\n`).join(""));
});
