import { UsageError } from "../../base/errors.ts";
import type { Json } from "../../base/json.ts";
import { assertOption, choice, number, wholeNumber } from "../../base/kinds.ts";
import type { Platform } from "../../base/platform.ts";
import type { SkippedFile } from "../../base/records.ts";
import { type CompileGraphOptions, compileGraph } from "../../compiler/compile.ts";
import { type LimitMethod, limitMethods } from "../../compiler/quantize/limits.ts";
import type { Quantization } from "../../compiler/quantize/quantization.ts";
import { notEnoughImages } from "../../data/batches.ts";
import type { Model, Provenance } from "../../model/model.ts";
import { encodeModel } from "../../model/model-writer.ts";
import type { QuantizationRecord } from "../../report/quantization.ts";
import { answersOf, compareAnswers } from "./answers.ts";
import { rankBlocks } from "./blocks.ts";
import { calibrate, calibrationImages, calibrationSample, foldedGraph, type QuantizationImage } from "./calibration.ts";
import { lostAccuracy, lostSpeed } from "./gate.ts";
import { compareSpeed, saturates } from "./speed.ts";

/** Steps of {@link quantize}, in their order; `comparing` may be repeated. */
export type QuantizeStep = "calibrating" | "ranking blocks" | "predicting in float32" | "comparing";

/** Options of {@link Verbs.quantize}. */
export interface QuantizeOptions {
  readonly platform: Platform;
  /** Images to compare the models on; default: the images that are not used for calibration. */
  readonly test?: readonly QuantizationImage[] | undefined;
  /** Number of images to calibrate with, chosen by the seed; default 100. */
  readonly count?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  /** Default `mse`. */
  readonly method?: LimitMethod | undefined;
  /** Weights of 7 bits, for x86 CPUs without VNNI; default false. */
  readonly reduceRange?: boolean | undefined;
  /** One scale for each kernel instead of each filter, for hardware that has no others; default false. */
  readonly perTensor?: boolean | undefined;
  /** Most points (hundredths) of top-1 accuracy that may be lost; default 1. */
  readonly maxDrop?: number | undefined;
  /** Least fraction of images with the same most probable class; default 0.98. */
  readonly minAgreement?: number | undefined;
  /** Accepts a model that is not faster on this machine; default false. */
  readonly allowSlower?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called whenever a step advances. */
  readonly onProgress?: ((step: QuantizeStep, done: number, total: number) => void) | undefined;
}

/** A model with integer weights, and how it differs from float32. */
export interface QuantizedModel {
  readonly model: Model;
  /** The model's file. */
  readonly bytes: Uint8Array;
  readonly record: QuantizationRecord;
  /** Limits that it does not keep, in sentences; empty if it may be used. */
  readonly failures: readonly string[];
  readonly skipped: readonly SkippedFile[];
}

/** Images to rank the blocks with. */
const rankedImages = 16;

/** Most blocks that stay in float32, as a fraction of all: with more, little is gained. */
const mostFloat = 0.5;

/**
 * Makes a model smaller and faster: weights of 8 bits, activations rounded to bytes within limits that some images reach. Blocks
 * that cost too much accuracy stay in float32, worst first.
 * @param images like those that the model will see; labeled ones count for the accuracy.
 * @throws {UsageError} the model is int8 already, there are no images, or an option is invalid.
 * @throws {DataError} none of the images can be read.
 * @throws {AbortedError} the signal fired.
 * @example
 * const { bytes, failures } = await quantize(await loadModel("run/model.onnx"), images, { platform: nodePlatform });
 * if (failures.length === 0) await writeFile("model_int8.onnx", bytes);
 */
export async function quantize(
  model: Model,
  images: readonly QuantizationImage[],
  options: QuantizeOptions,
): Promise<QuantizedModel> {
  const { platform, signal, onProgress, method = "mse", seed = 0, reduceRange = false } = options;
  const { count = calibrationImages, perTensor, maxDrop = 1, minAgreement = 0.98, allowSlower = false } = options;
  const limits = { maxDrop, minAgreement, allowSlower };
  assertOption("quantize option count", count, wholeNumber({ from: 1 }));
  assertOption("quantize option maxDrop", maxDrop, number({ from: 0, to: 100 }));
  assertOption("quantize option minAgreement", minAgreement, number({ from: 0, to: 1 }));
  assertOption("quantize option method", method, choice(...limitMethods));
  assertQuantizable(model, images, platform);
  const run = { platform, signal };
  const step = (name: QuantizeStep, total: number) => ({
    ...run,
    onProgress: (done: number) => onProgress?.(name, done, total),
  });

  const chosen = calibrationSample(images.length, count, seed);
  const calibrating = chosen.map((index) => images[index]!);
  const folded = foldedGraph(model);
  const { activations, skipped } = await calibrate(model, folded, calibrating, {
    ...step("calibrating", calibrating.length),
    method,
  });
  const whole: Quantization = { weightBits: reduceRange ? 7 : 8, perTensor, activations, floatLayers: [] };
  const names = new Set(skipped.map(({ file }) => file));
  const usable = calibrating.filter(({ name }) => !names.has(name)).slice(0, rankedImages);
  const blocks = await rankBlocks(model, folded, whole, usable, {
    ...run,
    onProgress: (done, total) => onProgress?.("ranking blocks", done, total),
  });

  const others = images.filter((_, index) => !chosen.includes(index));
  const comparedOnCalibration = options.test === undefined && others.length === 0;
  const test = options.test ?? (comparedOnCalibration ? images : others);
  const compiled = (form: Pick<CompileGraphOptions, "form" | "quantization">) =>
    compileGraph(folded.graph, folded.weights, { ...form, dynamicBatch: true });
  const float = compiled({ form: "inference" });
  const before = await answersOf(model, float, test, step("predicting in float32", test.length));
  if (before.size === 0) throw notEnoughImages([], 0, 1);

  // One more block stays in float32 with each round, until the accuracy is kept or half of them do.
  for (let floatCount = 0; ; floatCount++) {
    const floatBlocks = blocks.slice(0, floatCount);
    const quantization = { ...whole, floatLayers: floatBlocks.flatMap(({ layers }) => layers) };
    const integer = compiled({ form: "int8", quantization });
    const after = await answersOf(model, integer, test, step("comparing", test.length));
    const change = compareAnswers(before, after, test);
    const lost = lostAccuracy(change, limits);
    if (lost.length > 0 && floatCount + 1 <= mostFloat * blocks.length) continue;
    const speed = await compareSpeed(model.network, float, integer, platform);
    const record = {
      calibration: { method, images: calibrating.length - skipped.length, seed },
      ...{ weightBits: whole.weightBits, perTensor, blocks, floatBlocks: floatBlocks.map(({ name }) => name) },
      ...{ change, comparedOnCalibration, speed, saturates: await saturates(platform), limits },
    };
    const quantized = {
      ...model,
      quantization,
      provenance: { ...provenanceOfFloat(model), quantization: provenanceOf(record) },
    };
    const bytes = encodeModel(quantized);
    return {
      ...{ model: quantized, bytes, failures: [...lost, ...lostSpeed(speed, limits)], skipped },
      record: { ...record, bytes: { before: encodeModel(model).length, after: bytes.length } },
    };
  }
}

/** Provenance in the float32 file; its scores are kept under `float32`, since they are not those of the int8 model. */
function provenanceOfFloat({ provenance = {} }: Model): Provenance {
  const { validation, test, ...others } = provenance;
  const scores = { ...(validation !== undefined && { validation }), ...(test !== undefined && { test }) };
  return { ...others, ...(Object.keys(scores).length > 0 && { float32: scores }) };
}

/**
 * The part of the record that goes into the file: no durations and nothing of this machine, so that the same images give the same
 * bytes.
 */
function provenanceOf({ calibration, blocks, floatBlocks, change, limits }: Omit<QuantizationRecord, "bytes">): Json {
  const { maxDrop, minAgreement } = limits;
  const sensitivity = Object.fromEntries(blocks.map(({ name, difference }) => [name, difference]));
  return JSON.parse(
    JSON.stringify({ calibration, sensitivity, floatBlocks, change, limits: { maxDrop, minAgreement } }),
  );
}

/** @throws {UsageError} the model is int8 already, there are no images, or the engine is not the native one. */
function assertQuantizable(model: Model, images: readonly QuantizationImage[], { engine }: Platform) {
  const where = "quantize";
  if (model.quantization !== undefined) {
    throw new UsageError({
      where,
      what: "the model's weights are int8 already",
      remedy: "Quantize the float32 model.",
    });
  }
  if (images.length === 0) throw new UsageError({ where, what: "there are no images to calibrate with" });
  if (engine.defaultDevice === "cpu") return;
  throw new UsageError({
    where,
    what: "integers are computed on CPUs only",
    received: engine.defaultDevice,
    remedy: "Quantize in Node.",
  });
}
