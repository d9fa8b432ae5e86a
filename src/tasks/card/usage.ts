import { defaultPreprocessing, resizesInGraph } from "../../model/model.ts";
import type { PreprocessingOptions } from "../../model/preprocessing.ts";
import { paragraph, type ReportBlock, type Section } from "../../report/document.ts";
import { pythonCode } from "./python.ts";
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
    add("Node", "js", extractorCode(name));
    if (graph) add("Python", "python", pythonCode(subject, name));
    return { id: "usage", title: "How to use it", blocks };
  }
  const conversion = command("convert", name, model, ...(options.flags ?? []));
  const converts = model === name ? [] : [conversion];
  const note = model === name ? undefined : "The model is first converted to a model file, which ONNX Runtime runs.";
  add("Command line", "sh", [...converts, command("classify", model, image, ...flags)], note);
  add("Node", "js", classifierCode(model, isForeign ? options : {}));
  if (!isForeign) add("Browser, with onnxruntime-web", "js", browserCode(subject, model));
  const python = "Needs the packages onnxruntime, numpy and pillow.";
  add("Python", "python", pythonCode(subject, graph ? name : model), python);
  return { id: "usage", title: "How to use it", blocks };
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

function extractorCode(name: string): readonly string[] {
  return [
    'import { loadFeatureExtractor } from "xception-ts/node";',
    "",
    `const extractor = await loadFeatureExtractor(${JSON.stringify(name)});`,
    'const [embedding] = await extractor.features("photo.jpg", { pooling: "avg" });',
    "await extractor.dispose();",
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
