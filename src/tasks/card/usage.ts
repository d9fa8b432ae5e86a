import { luma, scaledSize } from "../../graph/preprocessing.ts";
import type { GraphImages } from "../../model/foreign-graph.ts";
import { defaultPreprocessing, type ImagePreprocessing, resizesInGraph } from "../../model/model.ts";
import type { PreprocessingOptions } from "../../model/preprocessing.ts";
import { paragraph, type ReportBlock, type Section, section } from "../../report/document.ts";
import type { CardSubject } from "./subject.ts";

/** Options and flags that a model was opened with. */
export interface CardOptions extends PreprocessingOptions {
  /** The flags as they were typed, for the commands in the card. */
  readonly flags?: readonly string[];
}

/** The use of a model from the command line, Node, browsers and Python. */
export function usageSection(subject: CardSubject, options: CardOptions = {}): Section {
  const { format, graph, labels, files, network } = subject;
  const [{ name }] = files;
  const isReady = format === "model file" && (options.flags ?? []).length === 0;
  const isForeign = network === undefined;
  // Conversion to a model file keeps labels and preprocessing, given ones included.
  const model = isReady || isForeign ? name : convertedName(name);
  const command = (...words: readonly string[]) => ["xception", ...words].map(quoted).join(" ");
  const flags = isForeign ? (options.flags ?? []) : [];
  const image = "photo.jpg";
  const blocks: ReportBlock[] = [];
  const add = (heading: string, language: string, lines: readonly string[], note?: string) => {
    blocks.push({ type: "heading", text: heading });
    if (note !== undefined) blocks.push(paragraph(note));
    blocks.push({ type: "code", language, lines });
  };
  if (labels === undefined) {
    const extract = command("embed", name, image, "-o", "embeddings.csv", ...(options.flags ?? []));
    add("Command line", "sh", [extract], "The model is not a classifier; it gives features of images.");
    add("Node", "js", [
      'import { loadFeatureExtractor } from "xception-ts/node";',
      "",
      `const extractor = await loadFeatureExtractor(${JSON.stringify(name)});`,
      'const [embedding] = await extractor.features("photo.jpg", { pooling: "avg" });',
      "await extractor.dispose();",
    ]);
    if (graph) add("Python", "python", pythonCode(subject, name));
    return section("usage", "How to use it", ...blocks);
  }
  const conversion = command("convert", name, model, ...(options.flags ?? []));
  const converts = model === name ? [] : [conversion];
  const note = model === name ? undefined : "The model is first converted to a model file, which ONNX Runtime runs.";
  add("Command line", "sh", [...converts, command("classify", model, image, ...flags)], note);
  add("Node", "js", classifierCode(model, isForeign ? options : {}));
  if (!isForeign) add("Browser, with onnxruntime-web", "js", browserCode(subject, model));
  const python = "Needs the packages onnxruntime, numpy and pillow.";
  add("Python", "python", pythonCode(subject, graph ? name : model), python);
  return section("usage", "How to use it", ...blocks);
}

function convertedName(name: string): string {
  const stem = name.replace(/(\.weights)?\.[a-z\d]+$/i, "");
  return `${stem}${name.toLowerCase().endsWith(".onnx") ? "-converted" : ""}.onnx`;
}

function quoted(word: string): string {
  return /^[\w./:@=,+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function classifierCode(name: string, { preprocess, interpolation, fit }: PreprocessingOptions): readonly string[] {
  const stated = JSON.stringify({ preprocess, interpolation, fit });
  const options = stated === "{}" ? "" : `, ${stated}`;
  return [
    'import { loadClassifier } from "xception-ts/node";',
    "",
    `const classifier = await loadClassifier(${JSON.stringify(name)}${options});`,
    'for (const { label, probability } of await classifier.classify("photo.jpg")) console.log(label, probability);',
    "await classifier.dispose();",
  ];
}

/** Reads a photo as the graph of a model file does: composited over the background, bytes of red, green and blue. */
function browserCode({ preprocessing, inputShape, labels = [] }: CardSubject, name: string): readonly string[] {
  const isFree = preprocessing === undefined || resizesInGraph(preprocessing);
  const [height, width] = inputShape;
  const size = isFree ? "const { width, height } = photo;" : `const [width, height] = [${width}, ${height}];`;
  const { background, fit } = preprocessing ?? defaultPreprocessing;
  const drawn = {
    fill: ["context.drawImage(photo, 0, 0, width, height);"],
    cover: fitCode("max"),
    contain: fitCode("min"),
  }[isFree ? "fill" : fit];
  return [
    `import * as ort from ${JSON.stringify("onnxruntime-web/wasm")};`,
    "",
    `const labels = ${JSON.stringify(labels.length > 20 ? [] : labels)};${labels.length > 20 ? " // all are in the file's metadata" : ""}`,
    `const session = await ort.InferenceSession.create(${JSON.stringify(name)});`,
    'const photo = await createImageBitmap(await (await fetch("photo.jpg")).blob());',
    size,
    'const context = new OffscreenCanvas(width, height).getContext("2d");',
    `context.fillStyle = "rgb(${background.join(" ")})";`,
    "context.fillRect(0, 0, width, height);",
    ...drawn,
    "const { data } = context.getImageData(0, 0, width, height);",
    "const rgb = data.filter((_, index) => index % 4 !== 3);",
    'const images = new ort.Tensor("uint8", new Uint8Array(rgb), [1, height, width, 3]);',
    "const [probabilities] = Object.values(await session.run({ images }));",
    "console.log([...probabilities.data].map((probability, index) => [labels[index] ?? index, probability]));",
  ];
}

/** Draws a photo in the center, its proportions kept. */
function fitCode(side: "max" | "min"): readonly string[] {
  return [
    `const scale = Math.${side}(width / photo.width, height / photo.height);`,
    "const [drawnWidth, drawnHeight] = [scale * photo.width, scale * photo.height];",
    "const [left, top] = [(width - drawnWidth) / 2, (height - drawnHeight) / 2];",
    "context.drawImage(photo, left, top, drawnWidth, drawnHeight);",
  ];
}

/**
 * A Python program that runs a model on `photo.jpg` with ONNX Runtime and prints its top classes, with the exact preprocessing of
 * this package: a model file does it in its graph, else Pillow does.
 */
function pythonCode(subject: CardSubject, file: string): readonly string[] {
  const { preprocessing = defaultPreprocessing, graph, inputShape } = subject;
  const [height, width] = inputShape as [number, number];
  const resizes = graph !== undefined || !resizesInGraph(preprocessing);
  const color = `(${preprocessing.background.join(", ")})`;
  return [
    ...(graph ? [] : ["import json", ""]),
    "import numpy as np",
    "import onnxruntime as ort",
    "from PIL import Image, ImageOps",
    "",
    `session = ort.InferenceSession(${JSON.stringify(file)})`,
    'photo = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGBA")',
    `image = Image.new("RGB", photo.size, ${color})`,
    "image.paste(photo, mask=photo)",
    ...(resizes ? resizeCode([height, width], preprocessing) : []),
    ...(graph ? floatCode(graph, preprocessing) : byteCode),
    "for index in np.argsort(-probabilities)[:5]:",
    `    print(${graph ? "index" : "labels[index]"}, probabilities[index])`,
  ];
}

/** A model file takes bytes, and has its labels in its metadata. */
const byteCode = [
  '[outputs] = session.run(None, {"images": np.asarray(image)[None]})',
  "probabilities = outputs[0]",
  'labels = json.loads(session.get_modelmeta().custom_metadata_map["xception-ts"])["labels"]',
];

/** The arithmetic of `scalePixels`, and softmax or sigmoid after a graph that ends in logits. */
function floatCode(graph: GraphImages, { scale, offset, order }: ImagePreprocessing): readonly string[] {
  const { input, output, channelsFirst, channels, givesProbabilities } = graph;
  const numbers = (values: number | readonly number[]) => `np.float32(${JSON.stringify(values)})`;
  const gray = `(pixels @ np.float32(${JSON.stringify(luma)}))[..., None]`;
  const prepared = channels === 1 ? gray : order === "bgr" ? "pixels[..., ::-1]" : "pixels";
  const layout = channelsFirst ? ".transpose(2, 0, 1)" : "";
  return [
    "pixels = np.asarray(image, np.float32)",
    `pixels = ${prepared} * ${numbers(scale)} + ${numbers(offset)}`,
    `[outputs] = session.run([${JSON.stringify(output)}], {${JSON.stringify(input)}: pixels${layout}[None]})`,
    ...(givesProbabilities
      ? ["probabilities = outputs[0]"]
      : [
          "powers = np.exp(outputs[0] - outputs[0].max())",
          "probabilities = powers / powers.sum() if len(powers) > 1 else 1 / (1 + np.exp(-outputs[0]))",
        ]),
  ];
}

/** Resizing as `emitImageResize` does it, by Pillow. */
function resizeCode(
  size: readonly [height: number, width: number],
  { fit, cropRatio = 1, interpolation = "bicubic", background }: ImagePreprocessing,
): readonly string[] {
  const [height, width] = size;
  const [tall, wide] = scaledSize(size, cropRatio);
  const method = `Image.Resampling.${interpolation.toUpperCase()}`;
  const cropped = fit === "cover" || tall !== height || wide !== width;
  const sized = {
    fill: [`image = image.resize((${wide}, ${tall}), ${method})`],
    cover: [
      "(columns, rows) = image.size",
      `size = (max(${wide}, ${tall} * columns // rows), max(${tall}, ${wide} * rows // columns))`,
      `image = image.resize(size, ${method})`,
    ],
    contain: [`image = ImageOps.pad(image, (${wide}, ${tall}), ${method}, (${background.join(", ")}))`],
  }[fit];
  return [
    ...sized,
    ...(cropped
      ? [
          `(left, top) = (round((image.width - ${width}) / 2), round((image.height - ${height}) / 2))`,
          `image = image.crop((left, top, left + ${width}, top + ${height}))`,
        ]
      : []),
  ];
}
