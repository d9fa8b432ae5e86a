import { luma, scaledSize } from "../../graph/preprocessing.ts";
import type { GraphImages } from "../../model/foreign-graph.ts";
import { defaultPreprocessing, type ImagePreprocessing, resizesInGraph } from "../../model/model.ts";
import type { CardSubject } from "./subject.ts";

/**
 * A Python program that runs a model on `photo.jpg` with ONNX Runtime and prints its top classes, with the exact preprocessing of
 * this package: a model file does it in its graph, else Pillow does.
 */
export function pythonCode(subject: CardSubject, file: string): readonly string[] {
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
