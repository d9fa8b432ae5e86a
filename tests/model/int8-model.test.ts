import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SessionOptions } from "../../src/base/platform.ts";
import { encodeOnnx, OnnxEmitter } from "../../src/compiler/onnx/emitter.ts";
import { readOnnx } from "../../src/compiler/onnx/reader.ts";
import { metadataKey } from "../../src/formats/format.ts";
import { loadModel } from "../../src/model/load-model.ts";
import type { Model } from "../../src/model/model.ts";
import { decodeModel, readMetadata } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { loadPredictor } from "../../src/model/predictor.ts";
import { openStartingFile } from "../../src/model/starting-weights.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { convert } from "../../src/tasks/convert.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { calibrate, foldedGraph } from "../../src/tasks/quantize/calibration.ts";
import { verifyModel } from "../../src/tasks/verify/model.ts";
import { noise } from "../tasks/images.ts";
import { smallModel } from "./small-model.ts";

const images = [1, 2, 3].map((seed) => ({ width: 80, height: 71, data: noise(1, [71, 80, 3], seed).data }));
// The middle flow has 72 channels, which the integer form pads to 80.
const small = smallModel({ width: 0.1 });
let folder: string;
let file: string;
let model: Model;
let bytes: Uint8Array;

beforeAll(async () => {
  const named = images.map((image, index) => ({ name: `${index}`, image }));
  const { activations } = await calibrate(small, foldedGraph(small), named, { platform, method: "minmax" });
  model = { ...small, quantization: { weightBits: 7, activations, floatLayers: ["block2_sepconv1"] } };
  bytes = encodeModel(model);
  folder = await mkdtemp(join(tmpdir(), "xception-int8-"));
  file = join(folder, "model_int8.onnx");
  await writeFile(file, bytes);
});
afterAll(() => rm(folder, { recursive: true }));

describe("a model with integer weights", () => {
  it("is written and read again with the same bytes", () => {
    const { weights: _, network: __, ...about } = decodeModel(bytes);
    expect(about).toMatchObject({
      labels: model.labels,
      preprocessing: model.preprocessing,
      license: "CC0-1.0",
      quantization: model.quantization,
    });
    expect(Buffer.compare(encodeModel(decodeModel(bytes)), bytes)).toBe(0);
    const { metadata, nodes, tensors } = readOnnx(bytes, "file");
    expect(tensors.get("block5_sepconv1/depthwise_kernel")!.shape).toEqual([80, 1, 3, 3]);
    expect(decodeModel(bytes).weights.get("block5_sepconv1/depthwise_kernel")!.shape).toEqual([3, 3, 72, 1]);
    expect(JSON.parse(metadata.get(metadataKey)!).formatVersion).toBe(4);
    expect(nodes.filter(({ operator }) => operator === "BatchNormalization")).toHaveLength(0);
  });

  it("predicts the same when it runs once; in float32 only rounding differs, since then nothing is optimized", async () => {
    const predict = async (bytes: Uint8Array<ArrayBuffer>, once: boolean) => {
      await using classifier = await loadClassifier(new Blob([bytes]), { platform, session: { once } });
      return (await classifier.classify(images[0]!)).map(({ probability }) => probability);
    };
    expect(await predict(bytes as Uint8Array<ArrayBuffer>, true)).toEqual(
      await predict(bytes as Uint8Array<ArrayBuffer>, false),
    );
    const float = encodeModel(small) as Uint8Array<ArrayBuffer>;
    const [once, often] = [await predict(float, true), await predict(float, false)];
    expect(once).not.toEqual(often);
    expect(once).toEqual(often.map((probability) => expect.closeTo(probability, 6)));
  });

  it("weighs a fraction, and its weights are within half a step of the original", () => {
    const { weights } = decodeModel(bytes);
    const kernel = weights.get("block1_conv2/kernel")!;
    const original = small.weights.get("block1_conv2/kernel")!;
    expect(kernel.shape).toEqual(original.shape);
    // Batch normalization is folded: gamma is 1, beta 0, and what it multiplied is in the kernel.
    expect(weights.get("block1_conv2_bn/gamma")!.data.every((value) => value === 1)).toBe(true);
    expect(weights.get("block1_conv2_bn/beta")!.data.every((value) => value === 0)).toBe(true);
    const bn = (name: string) => small.weights.get(`block1_conv2_bn/${name}`)!.data;
    const filters = kernel.shape[3]!;
    for (let filter = 0; filter < filters; filter++) {
      const factor = bn("gamma")[filter]! / Math.sqrt(bn("moving_variance")[filter]! + 1e-3);
      const column = [...original.data].filter((_, index) => index % filters === filter).map((each) => each * factor);
      const step = Math.max(...column.map(Math.abs)) / 63;
      const rounded = [...kernel.data].filter((_, index) => index % filters === filter);
      for (const [index, value] of column.entries())
        expect(Math.abs(rounded[index]! - value)).toBeLessThan(0.5001 * step);
    }
  });

  it("runs as its own graph, and gives the same probabilities where it is compiled again", async () => {
    const isolations: unknown[] = [];
    const { engine } = platform;
    const watched: typeof engine = Object.create(engine, {
      createSession: {
        value: (...[graph, options]: Parameters<typeof engine.createSession>) => {
          isolations.push(options?.isolation);
          return engine.createSession(graph, options);
        },
      },
    });
    await using classifier = await loadClassifier(file, { platform: { ...platform, engine: watched } });
    // A graph that is not ours would run in a process of its own.
    expect(isolations).toEqual([undefined]);
    const predictor = await loadPredictor(await loadModel(file, platform), platform);
    await using float = await loadClassifier(encodeModel(small), { platform });
    const [own, compiled, expected] = [
      await classifier.probabilities(images),
      await predictor.run({
        type: "uint8",
        shape: [3, 71, 80, 3],
        data: Uint8Array.from(images.flatMap(({ data }) => [...data])),
      }),
      await float.probabilities(images),
    ];
    await predictor.dispose();
    for (const [row, probabilities] of own.entries()) {
      expect([...probabilities]).toEqual([...compiled.data.subarray(3 * row, 3 * row + 3)]);
      expect([...probabilities]).not.toEqual([...expected[row]!]);
      for (const [index, value] of probabilities.entries())
        expect(Math.abs(value - expected[row]![index]!)).toBeLessThan(0.1);
    }
  });

  it("runs in our WebAssembly engine with its integers expanded", async () => {
    await using native = await loadClassifier(file, { platform });
    await using own = await loadClassifier(file, { platform, session: { device: "wasm" } });
    const [expected, actual] = [await native.probabilities(images), await own.probabilities(images)];
    for (const [row, values] of actual.entries())
      for (const [index, value] of values.entries()) expect(Math.abs(value - expected[row]![index]!)).toBeLessThan(0.1);
  });

  it("is verified: its own graph gives the same in every runtime, and another graph does not", async () => {
    const verified = await verifyModel(file, { platform, runtimes: ["cpu", "wasm"] });
    expect(verified.reference).toMatch(/nothing folded or fused; of the file's own int8 graph: itself on the CPU$/);
    const [cpu, wasm] = verified.runtimes.map((each) => each.file!);
    expect(cpu).toEqual({ difference: 0, passed: true });
    // The softmax alone is rounded differently.
    expect(wasm!.difference).toBeLessThan(1e-7);
    expect(verified.passed).toBe(true);
    const { engine } = platform;
    const wrong: typeof engine = Object.create(engine, {
      createSession: {
        // The graph with the same name, but of float32 weights, in one runtime.
        value: (graph: Uint8Array, options: SessionOptions = {}) =>
          engine.createSession(
            options.device === "wasm" && Buffer.compare(graph, bytes) === 0 ? encodeModel(small) : graph,
            options,
          ),
      },
    });
    const broken = await verifyModel(file, { platform: { ...platform, engine: wrong }, runtimes: ["cpu", "wasm"] });
    expect(broken.runtimes.map(({ passed }) => passed)).toEqual([true, false]);
    expect(broken.runtimes[1]!.file!.difference).toBeGreaterThan(1e-4);
    expect(broken.passed).toBe(false);
  });

  it("can be neither trained nor stored by formats without integers", async () => {
    await expect(openStartingFile(file, platform, {})).rejects.toThrow(
      'model_int8.onnx": its weights are int8 and its batch normalizations folded, so that it cannot be trained. ' +
        "Start from the float32 model that it was quantized from.",
    );
    const source = () => weightsSource(file, platform);
    await expect(convert(await source(), { to: "keras" })).rejects.toThrow(
      "its weights are int8 and its batch normalizations folded, which a whole model of Keras 3 cannot store. " +
        "Convert the float32 model that it was quantized from.",
    );
    await expect(convert(await source(), { to: "onnx", dtype: "float16" })).rejects.toThrow(
      "which float16 cannot store",
    );
    const copied = await convert(await source(), { to: "onnx" });
    expect(Buffer.compare(copied.bytes, bytes)).toBe(0);
  });

  it("has scales that fit", () => {
    const emit = new OnnxEmitter();
    emit.tensor("q", { type: "int8", shape: [2, 2], data: Int8Array.of(1, 2, 3, -4) });
    emit.floats("two", [2], Float32Array.of(0.5, 0.25));
    emit.floats("three", [3], new Float32Array(3));
    const of = (scale: string) => {
      emit.nodes.length = 0;
      emit.node("DequantizeLinear", ["q", scale], ["w"], { axis: { i: 0 } });
      return readOnnx(encodeOnnx(emit, { name: "n", inputs: [], outputs: [] }), "file")
        .tensors.get("w")!
        .read();
    };
    expect([...of("two").data]).toEqual([0.5, 1, 0.75, -1]);
    expect(() => of("three")).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file, tensor "q": its scales do not fit axis 0; received "3 scales for the shape [2, 2]"; expected one scale, or one for each index.]`,
    );
  });

  it("says what is wrong with damaged metadata and scales", () => {
    const document = JSON.parse(readOnnx(bytes, "file").metadata.get(metadataKey)!);
    const damaged = { ...document, quantization: { ...document.quantization, weightBits: 3 } };
    expect(() => readMetadata(JSON.stringify(damaged), "file")).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file, metadata, field quantization.weightBits: this value is not allowed; received 3; expected 7 or 8.]`,
    );
    const zero = { scale: 0, zeroPoint: 0 };
    const scales = { ...document, quantization: { ...document.quantization, activations: { add: zero } } };
    expect(() => readMetadata(JSON.stringify(scales), "file")).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file, metadata, field quantization.activations.add.scale: this value is not allowed; received 0; expected a number above 0.]`,
    );
  });
});
