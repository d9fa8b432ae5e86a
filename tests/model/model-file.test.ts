import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError, UsageError, WeightsError } from "../../src/base/errors.ts";
import { networkWeights } from "../../src/graph/network.ts";
import type { ModelParts } from "../../src/model/model.ts";
import { decodeModel, describeModel } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { loadPredictor } from "../../src/model/predictor.ts";
import { architectureOf, completeArchitecture } from "../../src/models/registry.ts";
import type { XceptionOptions } from "../../src/models/xception/options.ts";
import { loadEngine } from "../../src/runtime/node/engine.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { ModelProto } from "../oracles/onnx-proto.ts";
import { noise } from "../tasks/images.ts";
import { smallModel } from "./small-model.ts";

const model = smallModel();
const bytes = encodeModel(model);

describe("a model file", () => {
  it("reads back as it was written, options left out as what they meant", () => {
    expect(decodeModel(bytes, "a.onnx")).toEqual({
      ...model,
      architecture: completeArchitecture(model.architecture),
    });
  });

  it("keeps every option of the network", () => {
    const options = {
      variant: "tutorial",
      classifierActivation: "sigmoid",
      dropout: 0.5,
      fcUnits: [9, 8],
      residual: false,
      intermediateActivation: "elu",
      seed: 7,
    } as const;
    const written = smallModel(options);
    const read = decodeModel(encodeModel(written), "a.onnx");
    expect(read.architecture).toMatchObject({ family: "xception", options });
    expect(read.network).toEqual(written.network);
    expect(read.weights).toEqual(written.weights);
  });

  it("holds any network as the list of its layers", () => {
    const architecture = architectureOf(model.network);
    const read = decodeModel(encodeModel({ ...model, architecture }), "a.onnx");
    expect(read.architecture).toEqual(architecture);
    expect(read.network).toEqual(model.network);
    expect(read.weights).toEqual(model.weights);
  });

  it("may leave license and provenance out", () => {
    const { license: _, provenance: __, ...rest } = model;
    const read = decodeModel(encodeModel(rest), "a.onnx");
    expect(read).not.toHaveProperty("license");
    expect(read).not.toHaveProperty("provenance");
  });

  it("can be described without its weights", () => {
    const { weights: _, ...rest } = decodeModel(bytes, "a.onnx");
    expect(describeModel(bytes)).toEqual(rest);
  });

  it("is written the same each time", () => {
    expect(encodeModel(decodeModel(bytes, "a.onnx"))).toEqual(bytes);
  });

  it("stores every weight under its Keras name, channels first", () => {
    const file = ModelProto.toObject(ModelProto.decode(bytes), { longs: Number });
    const shapes = new Map<string, number[]>(
      file.graph.initializer.map(({ name, dims = [] }: { name: string; dims?: number[] }) => [name, dims]),
    );
    expect([...shapes.keys()]).toEqual(expect.arrayContaining(networkWeights(model.network).map(({ name }) => name)));
    expect(shapes.get("block1_conv1/kernel")).toEqual([8, 3, 3, 3]);
    expect(shapes.get("predictions/kernel")).toEqual([104, 3]);
  });
});

describe("a model file in ONNX Runtime", () => {
  it("takes bytes in batches of any size and answers what our own graph answers", async () => {
    const ort = await loadEngine();
    const session = await ort.InferenceSession.create(bytes);
    const ours = await loadPredictor(model, nodePlatform);
    expect(session.inputNames).toEqual(["images"]);
    expect(session.outputNames).toEqual(["predictions"]);
    for (const count of [1, 3]) {
      const images = noise(count, [71, 80, 3]);
      const { predictions } = await session.run({ images: new ort.Tensor("uint8", images.data, images.shape) });
      const expected = await ours.run(images);
      expect(predictions!.dims).toEqual([count, 3]);
      expect(expected.shape).toEqual([count, 3]);
      for (const [index, value] of expected.data.entries()) {
        expect(predictions!.data[index]).toBeCloseTo(value, 5);
      }
    }
    await Promise.all([session.release(), ours.dispose()]);
  });
});

/** The message of a refusal, which must be of the class. */
function refusal(kind: typeof FormatError | typeof WeightsError | typeof UsageError, act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(kind);
    return (error as Error).message;
  }
  return expect.fail("accepted");
}

interface File {
  graph: {
    node: object[];
    initializer: { name: string; dims: number[]; raw_data: Uint8Array }[];
    input: { name: string }[];
    output: { name: string }[];
  };
  metadata_props: { key: string; value: string }[];
}

/** The bytes of the file after a change of its content. */
function changed(change: (file: File) => void): Uint8Array {
  const file = ModelProto.toObject(ModelProto.decode(bytes), { longs: Number }) as File;
  change(file);
  return ModelProto.encode(ModelProto.fromObject(file)).finish();
}

/** The bytes of the file after a change of its JSON document. */
// biome-ignore lint/suspicious/noExplicitAny: the point is to write what the types do not allow
function changedDocument(change: (document: any) => void): Uint8Array {
  return changed(({ metadata_props: [entry] }) => {
    const document = JSON.parse(entry!.value);
    change(document);
    entry!.value = JSON.stringify(document);
  });
}

describe("a file that is no model is refused", () => {
  const read = (content: Uint8Array) => refusal(FormatError, () => decodeModel(content, "a.onnx"));

  it("empty", () => {
    expect(read(new Uint8Array())).toMatchInlineSnapshot(`"model "a.onnx": the file is empty; expected an ONNX file."`);
  });

  it("cut short", () => {
    expect(read(bytes.subarray(0, 5000))).toMatchInlineSnapshot(
      `"model "a.onnx", byte 19: its 5000 bytes are not an ONNX file, or it is damaged or truncated (index out of range). Copy or download it again."`,
    );
  });

  it("text", () => {
    expect(read(new TextEncoder().encode("not a model"))).toMatchInlineSnapshot(
      `"model "a.onnx", byte 1: its 11 bytes are not an ONNX file, or it is damaged or truncated (invalid wire type 6). Copy or download it again."`,
    );
  });

  it("without a graph", () => {
    expect(read(changed((file) => file.graph.node.splice(0)))).toMatchInlineSnapshot(
      `"model "a.onnx": this is not an ONNX file: it has no graph."`,
    );
  });

  it("of somebody else", () => {
    expect(read(changed((file) => file.metadata_props.splice(0)))).toMatchInlineSnapshot(
      `"model "a.onnx": the ONNX file has no "xception-ts" metadata: labels and preprocessing of its network are unknown; expected a model that xception-ts wrote."`,
    );
  });

  it("of a later version", () => {
    expect(read(changedDocument((document) => (document.formatVersion = 5)))).toMatchInlineSnapshot(
      `"model "a.onnx": a later version of xception-ts wrote this file; received "format 5"; expected format 4. Update xception-ts."`,
    );
  });

  it("that crops more than there is", () => {
    const message = read(changedDocument((document) => (document.preprocessing.cropRatio = 2)));
    expect(message).toMatchInlineSnapshot(
      `"model "a.onnx", metadata, field preprocessing.cropRatio: this value is not allowed; received 2; expected a number from 0.01, up to 1."`,
    );
  });

  it("whose metadata are no JSON", () => {
    expect(read(changed(({ metadata_props: [entry] }) => (entry!.value = "{")))).toMatchInlineSnapshot(
      `"model "a.onnx", metadata, character 1: this is not JSON."`,
    );
  });

  it("whose metadata lack a field, have a wrong one or are something else", () => {
    expect(read(changedDocument((document) => delete document.labels))).toMatchInlineSnapshot(
      `"model "a.onnx", metadata: the network is not an image classifier; received "no labels"; expected labels and preprocessing."`,
    );
    expect(read(changedDocument((document) => (document.preprocessing.background[1] = 256)))).toMatchInlineSnapshot(
      `"model "a.onnx", metadata, field preprocessing.background.1: this value is not allowed; received 256; expected a whole number from 0 to 255."`,
    );
    expect(read(changed(({ metadata_props: [entry] }) => (entry!.value = "7")))).toMatchInlineSnapshot(
      `"model "a.onnx", metadata: this value is not allowed; received 7; expected an object."`,
    );
  });

  it("whose network cannot be built", () => {
    expect(
      read(changedDocument((document) => (document.architecture.options.variant = "nasnet"))),
    ).toMatchInlineSnapshot(
      `"model "a.onnx", metadata: xception option "variant": this value is not allowed; received "nasnet"; expected one of paper, tutorial."`,
    );
    expect(
      read(changedDocument((document) => (document.architecture.options.middleFlowRepeats = 1e9))),
    ).toMatchInlineSnapshot(
      `"model "a.onnx", metadata: xception option "middleFlowRepeats": this value is not allowed; received 1000000000; expected a whole number from 0 to 100."`,
    );
  });

  it("whose labels are not those of the network", () => {
    expect(read(changedDocument((document) => document.labels.pop()))).toMatchInlineSnapshot(
      `"model "a.onnx", metadata: there must be one label for each class; received 2; expected 3 labels."`,
    );
  });

  it("whose graph is another", () => {
    expect(read(changed(({ graph }) => (graph.output[0]!.name = "logits")))).toMatchInlineSnapshot(
      `"model "a.onnx": its graph is not that of the network it describes; received "inputs images and outputs logits"; expected input images and output predictions."`,
    );
    expect(read(changed(({ graph }) => graph.input.push(...graph.output)))).toContain("inputs images,predictions and");
  });

  it("in which the data of a tensor do not fill its shape", () => {
    const tensorOf = (file: File) => file.graph.initializer.find(({ name }) => name === "predictions/kernel")!;
    expect(read(changed((file) => tensorOf(file).dims.push(2)))).toMatchInlineSnapshot(
      `"model "a.onnx", tensor "predictions/kernel": the stored data do not fill its shape; received "1248 bytes for the shape [104, 3, 2]"; expected 4 bytes of raw data for each number. The file is damaged or cut short: copy or download it again."`,
    );
    expect(read(changed((file) => (tensorOf(file).dims = [-104, -3])))).toContain("for the shape [-104, -3]");
  });

  it("in which a weight is missing or has another shape", () => {
    const without = changed((file) => {
      file.graph.initializer = file.graph.initializer.filter(({ name }) => !name.endsWith("_bn/gamma"));
      file.graph.initializer.find(({ name }) => name === "predictions/kernel")!.dims.reverse();
    });
    expect(refusal(WeightsError, () => decodeModel(without, "a.onnx"))).toMatchInlineSnapshot(
      `"model "a.onnx": they are not the weights of this network; missing: block1_conv1_bn/gamma, block1_conv2_bn/gamma, block2_sepconv1_bn/gamma, block2_sepconv2_bn/gamma, block3_sepconv1_bn/gamma and 10 more; of another shape: predictions/kernel (3×104 instead of 104×3). Check the network's options: variant, width, classes and the rest must be those it was trained with."`,
    );
  });
});

describe("what is no classifier is not written", () => {
  const write = (more: Partial<ModelParts>) => refusal(UsageError, () => encodeModel({ ...model, ...more }));
  const withOptions = (more: XceptionOptions) => {
    const { architecture } = smallModel(more);
    return { architecture };
  };

  it("a network without a classifier or without probabilities", () => {
    expect(write(withOptions({ includeTop: false }))).toMatchInlineSnapshot(
      `"encodeModel: a model needs a classifier; received "Activation \\"block7_sepconv2_act\\" at the network's end"; expected a Dense or Activation layer that gives one number for each class."`,
    );
    expect(write(withOptions({ classifierActivation: "none" }))).toMatchInlineSnapshot(
      `"encodeModel: a model must give probabilities; received "activation \\"linear\\" at the network's end"; expected "softmax" or "sigmoid"."`,
    );
  });

  it("a network for other images than RGB", () => {
    expect(write(withOptions({ inputShape: [71, 80, 4] }))).toMatchInlineSnapshot(
      `"encodeModel: a model must read images; received [71, 80, 4]; expected 3 channels (RGB) or 1 (grayscale)."`,
    );
  });

  it("another number of labels", () => {
    expect(write({ labels: ["cat", "dog"] })).toMatchInlineSnapshot(
      `"encodeModel: there must be one label for each class; received 2; expected 3 labels."`,
    );
  });

  it("another network's weights", () => {
    const weights = new Map(model.weights);
    weights.delete("predictions/bias");
    weights.set("predictions/offset", floatTensor([3]));
    weights.set("block1_conv1_bn/beta", floatTensor([7]));
    expect(refusal(WeightsError, () => encodeModel({ ...model, weights }))).toMatchInlineSnapshot(
      `"weights of xception: they are not the weights of this network; missing: predictions/bias; unexpected: predictions/offset; of another shape: block1_conv1_bn/beta (7 instead of 8). Check the network's options: variant, width, classes and the rest must be those it was trained with."`,
    );
  });
});

describe("whatever the bytes are, reading them gives a model or says what is wrong with the file", () => {
  const messageOf = (read: () => unknown): string | undefined => {
    try {
      read();
      return undefined;
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof WeightsError)) throw error;
      return error.message;
    }
  };
  const reads = (content: Uint8Array) => {
    const message = messageOf(() => decodeModel(content, "a.onnx"));
    if (message !== undefined) expect(message).toContain('model "a.onnx"');
    expect(messageOf(() => describeModel(content, "a.onnx"))).toBe(message);
  };

  it("random bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), reads), { numRuns: 200 });
  });

  it("cut short anywhere", () => {
    const lengths = fc.integer({ min: 0, max: bytes.length - 1 });
    fc.assert(
      fc.property(lengths, (length) => {
        expect(() => decodeModel(bytes.subarray(0, length), "a.onnx")).toThrow(FormatError);
      }),
      { numRuns: 200 },
    );
  });

  it("some bytes changed", () => {
    // Weights are most of the file and may be anything: many of the changes go to nodes at its start, metadata at its end.
    const place = fc.oneof(
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer({ min: bytes.length - 1500, max: bytes.length - 1 }),
      fc.integer({ min: 0, max: bytes.length - 1 }),
    );
    const changes = fc.array(fc.tuple(place, fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(changes, (list) => {
        const content = bytes.slice();
        for (const [index, value] of list) content[index] = value;
        reads(content);
      }),
      { numRuns: 200 },
    );
  });
});
