import { beforeAll, describe, expect, it } from "vitest";
import type { RgbImage } from "../../src/base/platform.ts";
import { imageInput } from "../../src/compiler/lower.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { standardization } from "../../src/graph/preprocessing.ts";
import { imagePreparation } from "../../src/model/images.ts";
import { defaultPreprocessing, type ImagePreprocessing, type Model } from "../../src/model/model.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { noise } from "../tasks/images.ts";
import { smallModel } from "./small-model.ts";

const sizes = [
  [71, 80],
  [97, 131],
  [300, 40],
] as const;
const images = sizes.map(
  ([height, width], index): RgbImage => ({ width, height, data: noise(1, [height, width, 3], index + 1).data }),
);
let files: Uint8Array[];

beforeAll(async () => {
  files = await Promise.all(images.map((image) => nodePlatform.images.encodePng(image)));
});

function modelWith(preprocessing: Partial<ImagePreprocessing>): Model {
  return { ...smallModel(), preprocessing: { ...defaultPreprocessing, ...preprocessing } };
}

const preparations: [string, Partial<ImagePreprocessing>][] = [
  ["as training does by default", {}],
  ["as Keras's load_img", { interpolation: "nearest" }],
  [
    "as timm",
    { interpolation: "bicubic", fit: "cover", cropRatio: 0.897, ...standardization([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]) },
  ],
  ["on a background", { interpolation: "bilinear", fit: "contain", background: [9, 99, 199] }],
  ["channel by channel", standardization([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])],
];

describe.each(preparations)("a model that prepares images %s", (_, preprocessing) => {
  const model = modelWith(preprocessing);
  const bytes = encodeModel(model);

  it("gives for any size what its network gives for the prepared bytes, in any ONNX tool", async () => {
    const preparation = imagePreparation(model, nodePlatform);
    const classifier = await loadClassifier(bytes, { platform: nodePlatform });
    const session = await nodePlatform.engine.createSession(bytes);
    const results = [];
    for await (const each of classifier.classifyAll(files)) results.push(each);
    for (const [index, image] of images.entries()) {
      const prepared = await preparation.prepare(image);
      expect([prepared.width, prepared.height]).toEqual([80, 71]);
      // A network of its own, that takes images of its size alone.
      const { interpolation: _none, cropRatio: _whole, ...plain } = model.preprocessing;
      const fixed = await loadClassifier(encodeModel({ ...model, preprocessing: { ...plain, fit: "fill" } }), {
        platform: nodePlatform,
      });
      // The bytes are the same; the engine may sum up a graph with open sizes in another order.
      const expected = (await fixed.classify(prepared)).map((each) => ({
        ...each,
        probability: expect.closeTo(each.probability, 5),
      }));
      await fixed.dispose();
      const answered = await classifier.classify(image);
      expect(answered).toEqual(expected);
      expect(results[index]).toEqual({ predictions: answered });
      const shape = [1, image.height, image.width, 3];
      const answer = await session.run({ [imageInput]: { type: "uint8", shape, data: image.data } });
      const scores = answer[model.network.output]!.data as Float32Array;
      // On AVX-512, but not on AVX2, open sizes change the last digit here, too.
      for (const { index: label, probability } of answered) expect(scores[label]).toBeCloseTo(probability, 6);
    }
    await Promise.all([preparation.dispose(), classifier.dispose(), session.dispose()]);
  });

  it("says so in its file", () => {
    expect(decodeModel(bytes).preprocessing).toEqual(model.preprocessing);
  });

  it("is evaluated on the same images that it classifies", async () => {
    const classifier = await loadClassifier(bytes, { platform: nodePlatform });
    const best = [];
    for (const file of files) best.push((await classifier.classify(file))[0]!);
    await classifier.dispose();
    const dataset: ImageDataset = {
      classes: model.labels,
      samples: files.map((image, index) => ({ image, label: index, name: `${index}` })),
    };
    const { predictions } = await evaluate(model, dataset, { platform: nodePlatform });
    expect(predictions.map(({ predicted }) => predicted)).toEqual(best.map(({ label }) => label));
    for (const [index, { probability }] of predictions.entries()) {
      expect(probability).toBeCloseTo(best[index]!.probability, 5);
    }
  });

  it("prepares the same bytes in WebAssembly", async () => {
    const wasm = {
      ...nodePlatform,
      engine: {
        ...nodePlatform.engine,
        createSession: (file: Uint8Array) => nodePlatform.engine.createSession(file, { device: "wasm" }),
      },
    };
    const [here, there] = [imagePreparation(model, nodePlatform), imagePreparation(model, wasm)];
    for (const image of images) expect(await there.prepare(image)).toEqual(await here.prepare(image));
    await Promise.all([here.dispose(), there.dispose()]);
  });
});

describe("standardization", () => {
  it("is (pixel/255 − mean)/deviation", () => {
    const { scale, offset } = standardization([0.485, 0.5, 0.4], [0.229, 0.25, 0.2]);
    const of = (pixel: number) => [0, 1, 2].map((c) => pixel * (scale as number[])[c]! + (offset as number[])[c]!);
    expect(of(51)).toEqual([(0.2 - 0.485) / 0.229, -1.2, -1].map((each) => expect.closeTo(each, 12)));
  });

  it("is a number where all channels are alike", () => {
    expect(standardization([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])).toEqual({ scale: 1 / 127.5, offset: -1 });
  });
});

describe("files of before", () => {
  it("leave the size to the decoder, and are still written so that earlier versions read them", () => {
    const old = smallModel();
    const bytes = encodeModel(old);
    expect(new TextDecoder("latin1").decode(bytes)).toContain('{"formatVersion":1,');
    expect(decodeModel(bytes).preprocessing).toEqual(old.preprocessing);
    expect(new TextDecoder("latin1").decode(encodeModel(modelWith({})))).toContain('{"formatVersion":2,');
  });
});

it.each([
  [
    { cropRatio: 0 },
    "encodeModel: preprocessing.cropRatio is not allowed; received 0; expected a number from 0.01, up to 1.",
  ],
  [
    { cropRatio: 1.5 },
    "encodeModel: preprocessing.cropRatio is not allowed; received 1.5; expected a number from 0.01, up to 1.",
  ],
  [
    { interpolation: "lanczos" as never },
    'encodeModel: preprocessing.interpolation is not allowed; received "lanczos"; expected one of nearest, bilinear, bicubic.',
  ],
  [
    { scale: [1, 2] },
    "encodeModel: preprocessing.scale is not allowed; received [1, 2]; expected a number, or a list of 3 values",
  ],
  [
    { interpolation: undefined, cropRatio: 0.9 },
    "encodeModel: images are cropped in the graph alone; expected preprocessing with an interpolation.",
  ],
])("a model with %j is not written", (preprocessing, message) => {
  expect(() => encodeModel(modelWith(preprocessing))).toThrow(message);
});

it("a model without preprocessing is not written", () => {
  const { preprocessing: _, ...others } = smallModel();
  expect(() => encodeModel(others as never)).toThrow("encodeModel: preprocessing is not allowed; expected an object.");
});
