import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import type { XceptionError } from "../../src/base/errors.ts";
import type { ClassProbability } from "../../src/base/records.ts";
import type { LoadOptions } from "../../src/model/load-model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { convert } from "../../src/tasks/convert.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { ModelProto } from "../oracles/onnx-proto.ts";
import { noise } from "../tasks/images.ts";
import { smallModel } from "./small-model.ts";

const torchXception = new Uint8Array(readFileSync(join(root, "tests/golden/formats/torch-xception.onnx")));
const pixels = { width: 80, height: 71, data: noise(1, [71, 80, 3]).data as Uint8Array };

async function probabilities(source: Uint8Array, options: Omit<LoadOptions, "platform"> = {}, image = pixels) {
  await using classifier = await loadClassifier(source, { platform, ...options });
  const predictions = await classifier.classify(image);
  return { scores: inOrder(predictions), labels: classifier.labels, notes: classifier.notes };
}

function inOrder(predictions: readonly ClassProbability[]): readonly number[] {
  return predictions.toSorted((a, b) => a.index - b.index).map(({ probability }) => probability);
}

function expectNear(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) expect(actual[index]).toBeCloseTo(value, 6);
}

/** Softmax in float64. */
function softmax(logits: readonly number[]): readonly number[] {
  const powers = logits.map((logit) => Math.exp(logit));
  return powers.map((power) => power / powers.reduce((a, b) => a + b));
}

type File = { graph: { input: Value[]; output: Value[]; node: { op_type: string }[] }; metadata_props?: object[] };
interface Value {
  name: string;
  type: { tensor_type: { elem_type: number; shape: { dim: { dim_value?: number; dim_param?: string }[] } } };
}

/** The file with something else in it. */
function changed(bytes: Uint8Array, change: (file: File) => void): Uint8Array {
  const file = ModelProto.toObject(ModelProto.decode(bytes), { longs: Number }) as File;
  change(file);
  return ModelProto.encode(ModelProto.fromObject(file)).finish();
}

test("PyTorch's graph is fed as it wants, channels first, and its logits become probabilities", async () => {
  const data = Float32Array.from({ length: 3 * 71 * 80 }, (_, index) => {
    const [channel, place] = [Math.floor(index / (71 * 80)), index % (71 * 80)];
    return pixels.data[3 * place + channel]! / 127.5 - 1;
  });
  const engine = await platform.engine.createSession(torchXception);
  const { logits } = await engine.run({ input: floatTensor([1, 3, 71, 80], data) });
  await engine.dispose();

  const { scores, labels, notes } = await probabilities(torchXception);
  expectNear(scores, softmax([...logits!.data].map(Number)));
  expect(labels).toEqual(["0", "1", "2"]);
  expect(notes).toEqual([
    "The graph of another tool runs as it is.",
    "It ends without a softmax; one was applied to its outputs.",
    "The file does not specify preprocessing; pixel/127.5 - 1 is assumed, as in keras.applications; images are stretched to 71×80 by bicubic interpolation.",
    "It does not name its classes; they are numbered.",
  ]);
});

test("the same weights in our network give the same answers, also for images of another size", async () => {
  const network = { inputShape: [71, 80, 3], classes: 3, width: 0.02, middleFlowRepeats: 1 } as const;
  const large = { width: 123, height: 99, data: noise(1, [99, 123, 3], 5).data as Uint8Array };
  for (const image of [pixels, large]) {
    const ours = await probabilities(torchXception, { architecture: "legacy_xception", network }, image);
    expectNear((await probabilities(torchXception, {}, image)).scores, ours.scores);
  }
});

test("a graph with channels last, a softmax and an open size, several images at a time", async () => {
  const model = smallModel();
  const bytes = await graphOf(model);
  const open = changed(bytes, ({ graph }) => {
    const { dim } = graph.input[0]!.type.tensor_type.shape;
    for (const [axis, name] of ["n", "h", "w"].entries()) dim[axis] = { dim_param: name };
  });
  await using classifier = await loadClassifier(open, {
    platform,
    network: { inputShape: [71, 80, 3] },
    labels: ["cat", "dog", "owl"],
  });
  expect(classifier.notes).toEqual([
    "The graph of another tool runs as it is.",
    "The file does not specify preprocessing; pixel/127.5 - 1 is assumed, as in keras.applications; images are stretched to 71×80 by bicubic interpolation.",
  ]);
  const images = [1, 2, 3].map((seed) => ({ ...pixels, data: noise(1, [71, 80, 3], seed).data as Uint8Array }));
  await using own = await loadClassifier(encodeModel(model), { platform });
  let count = 0;
  for await (const result of classifier.classifyAll(images, { batchSize: 2 })) {
    if (!("predictions" in result)) throw result.error;
    expectNear(inOrder(result.predictions), inOrder(await own.classify(images[count++]!)));
    expect(result.predictions.map(({ label }) => label).toSorted()).toEqual(["cat", "dog", "owl"]);
  }
  expect(count).toBe(3);
});

/** A plain graph as our converter writes it, without what tells that it is ours. */
async function graphOf(model: ReturnType<typeof smallModel>): Promise<Uint8Array> {
  const { bytes } = await convert(await weightsSource(encodeModel(model), platform), { to: "onnx-graph" });
  return changed(bytes, (file) => {
    delete file.metadata_props;
  });
}

describe("refuses", () => {
  const messageOf = async (bytes: Uint8Array, options: Omit<LoadOptions, "platform"> = {}) => {
    const error = await loadClassifier(bytes, { platform, ...options }).then(
      () => undefined,
      (reason: XceptionError) => reason,
    );
    return error?.message.replace(/^file of \d+ bytes/, "FILE");
  };
  const dims = (...sizes: (number | string)[]) =>
    changed(torchXception, ({ graph }) => {
      graph.input[0]!.type.tensor_type.shape.dim = sizes.map((size) =>
        typeof size === "number" ? { dim_value: size } : { dim_param: size },
      );
    });

  test("what is not fed with one image", async () => {
    expect(await messageOf(dims("batch", 4, 71, 80))).toMatchInlineSnapshot(
      `"FILE: its graph does not take one image; received "input [batch, 4, 71, 80]"; expected [N, channels, height, width] or [N, height, width, channels] with 3 channels (RGB) or 1 (grayscale)."`,
    );
    expect(await messageOf(dims(8, 3, 71, 80))).toMatchInlineSnapshot(
      `"FILE: its graph does not take one image; received "input [8, 3, 71, 80]"; expected [N, channels, height, width] or [N, height, width, channels] with 3 channels (RGB) or 1 (grayscale)."`,
    );
    const twice = changed(torchXception, ({ graph }) => {
      graph.input.push({ ...graph.input[0]!, name: "mask" });
    });
    expect(await messageOf(twice)).toMatchInlineSnapshot(
      `"FILE: its graph does not take one image; received "input [batch, 3, 71, 80], mask [batch, 3, 71, 80]"; expected [N, channels, height, width] or [N, height, width, channels] with 3 channels (RGB) or 1 (grayscale)."`,
    );
  });

  test("half precision", async () => {
    const half = changed(torchXception, ({ graph }) => {
      graph.input[0]!.type.tensor_type.elem_type = 10;
    });
    expect(await messageOf(half)).toMatchInlineSnapshot(
      `"FILE, input "input": its element type is not supported; received "element type 10 of ONNX"; expected 1, float32. Export the model in single precision."`,
    );
  });

  test("sizes of images that are not said, or others", async () => {
    expect(await messageOf(dims("batch", 3, "h", "w"))).toMatchInlineSnapshot(
      `"FILE: its graph does not fix the image size; received "h×w". Set it with --input-shape HEIGHTxWIDTHx3."`,
    );
    expect(await messageOf(torchXception, { network: { inputShape: [99, 99, 3] } })).toMatchInlineSnapshot(
      `"FILE: its graph takes images of another shape; received "99x99x3"; expected 71x80x3."`,
    );
  });

  test("sizes that no image has", async () => {
    expect(await messageOf(dims(1, 3, 1_000_000, 71))).toMatchInlineSnapshot(
      `"FILE, input "input": unsupported image size; received "1000000×71"; expected height and width from 1 to 8192."`,
    );
    expect(await messageOf(dims(1, 3, 71, -1))).toContain("unsupported image size");
  });

  test("labels for another number of classes", async () => {
    expect(await messageOf(torchXception, { labels: ["a", "b"] })).toMatchInlineSnapshot(
      `"labels: there must be one label for each class; received 2; expected 3 labels."`,
    );
  });

  test("answers that are no classes, and graphs that the engine cannot run", async () => {
    const maps = changed(torchXception, ({ graph }) => {
      graph.output = [{ ...graph.output[0]!, name: "/Relu_output_0" }];
      delete (graph.output[0] as Partial<Value>).type;
    });
    expect(await messageOf(maps)).toMatchInlineSnapshot(
      `"FILE, output "/Relu_output_0": its graph is not a classifier; received "float32 [1, 8, 35, 39] for one image"; expected [1, classes]."`,
    );
    const unknown = changed(torchXception, ({ graph }) => {
      graph.node[0]!.op_type = "Convolve";
    });
    expect(await messageOf(unknown)).toContain("FILE, ONNX Runtime: it cannot load the model: ");
    const tiny = await messageOf(dims("batch", 3, "h", "w"), { network: { inputShape: [2, 2, 3] } });
    expect(tiny).toContain("FILE: its graph cannot be run on an image (");
  });
});
