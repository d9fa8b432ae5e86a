import type { ImageSource, Platform, Session } from "../../base/platform.ts";
import type { SkippedFile } from "../../base/records.ts";
import { compileGraph } from "../../compiler/compile.ts";
import { type FoldedGraph, foldBatchNorm } from "../../compiler/fold-batch-norm.ts";
import { lower } from "../../compiler/lower.ts";
import { Histogram } from "../../compiler/quantize/histogram.ts";
import { type LimitMethod, scaleFrom } from "../../compiler/quantize/limits.ts";
import type { Quantization } from "../../compiler/quantize/quantization.ts";
import { integerLayers, roundedActivations } from "../../compiler/quantize/quantize.ts";
import { notEnoughImages } from "../../data/batches.ts";
import type { Size2 } from "../../graph/layers.ts";
import { OpGraphBuilder } from "../../graph/op-builder.ts";
import type { Value } from "../../graph/ops.ts";
import { toEngineWeights } from "../../graph/weights.ts";
import type { Model } from "../../model/model.ts";
import { Predictor } from "../../model/predictor.ts";
import { deriveSeed, mulberry32, shuffledIndices } from "../../tensor/random.ts";
import { sizeOf } from "../../tensor/shape.ts";

/** An image to calibrate with, or to compare models on. */
export interface QuantizationImage {
  /** In messages. */
  readonly name: string;
  /** Index of its class, if it is known. */
  readonly label?: number | undefined;
  readonly image: ImageSource;
}

/** Options of {@link calibrate}. */
export interface CalibrationOptions {
  readonly platform: Platform;
  readonly method: LimitMethod;
  readonly signal?: AbortSignal | undefined;
  /** Called after each image. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** Limits of the activations of a network, and the images that could not be read. */
export interface ActivationLimits {
  readonly activations: Quantization["activations"];
  readonly skipped: readonly SkippedFile[];
}

/** Default number of images to calibrate with. */
export const calibrationImages = 100;

/** Numbers of an activation that are counted for one image, about; evenly spaced ones. Its limits are those of all. */
const mostCounted = 2 ** 16;

/** Indices of some of `length` images, in their order. */
export function calibrationSample(length: number, count: number, seed: number): readonly number[] {
  const order = shuffledIndices(length, mulberry32(deriveSeed(seed, "calibration")));
  return [...order.subarray(0, count)].sort((a, b) => a - b);
}

/** The part of a model that computes. */
export type ComputedModel = Pick<Model, "network" | "weights" | "preprocessing">;

/** The folded inference graph of a model, which the integer form rounds. */
export function foldedGraph({ network, weights, preprocessing }: ComputedModel): FoldedGraph {
  const { graph } = lower(network, { mode: "inference", batchSize: 1, preprocessing });
  return foldBatchNorm(graph, toEngineWeights(network, weights));
}

/**
 * Runs images through a network one by one, and finds limits for all activations that the integer form rounds. The memory that it
 * needs does not grow with the images.
 * @param folded the network's graph, see {@link foldedGraph}.
 * @throws {DataError} none of the images can be read.
 * @throws {AbortedError} the signal fired.
 */
export async function calibrate(
  model: ComputedModel,
  { graph, weights }: FoldedGraph,
  images: readonly QuantizationImage[],
  { platform, method, signal, onProgress }: CalibrationOptions,
): Promise<ActivationLimits> {
  const values = roundedActivations(integerLayers(graph));
  const build = new OpGraphBuilder({ ...graph, outputs: new Map() });
  const drawn = new Map([...values].map(([name, value]) => [name, drawFrom(build, name, value)]));
  const load = (): Promise<Session> => {
    const compiled = compileGraph(build.finish(), weights, { form: "inference" });
    return platform.engine.createSession(compiled, { device: "cpu", signal });
  };
  const histograms = new Map([...values.keys()].map((name) => [name, new Histogram()]));
  const predictor = new Predictor(model, platform, load);
  const skipped: SkippedFile[] = [];
  let done = 0;
  try {
    const sources = images.map(({ image }) => image);
    for await (const { outputs, indices, errors } of predictor.predictBatches(sources, { batchSize: 1, signal })) {
      for (const { index, error } of errors) skipped.push({ file: images[index]!.name, reason: error.message });
      if (indices.length > 0) {
        for (const [name, histogram] of histograms) {
          const [numbers, extremes] = drawn.get(name)!.map((output) => outputs[output]!.data as Float32Array);
          histogram.add(numbers!, extremes);
        }
      }
      done += indices.length + errors.length;
      onProgress?.(done);
    }
  } finally {
    await predictor.dispose();
  }
  if (skipped.length === images.length) throw notEnoughImages(skipped, 0, 1);
  const activations = new Map([...histograms].map(([name, histogram]) => [name, scaleFrom(histogram, method)]));
  return { activations, skipped };
}

/**
 * Outputs some numbers of an activation and, of large ones, the extremes of each channel: to copy all numbers out of the engine takes
 * longer than to compute them.
 * @returns the outputs' names.
 */
function drawFrom(build: OpGraphBuilder, name: string, value: Value): readonly string[] {
  const [, channels, height, width] = value.shape as readonly [1, number, ...Partial<Size2>];
  const length = sizeOf(value.shape);
  // An odd step does not always meet the same columns of an image.
  const step = Math.ceil(length / mostCounted) | 1;
  if (step === 1 || height === undefined || width === undefined) {
    build.output(name, value);
    return [name];
  }
  const flat = build.op({ kind: "reshape", shape: [length] }, [value]);
  build.output(name, build.op({ kind: "everyNth", step }, [flat]));
  const maxima = (x: Value) =>
    build.op({ kind: "maxPool", kernel: [height, width], strides: [1, 1], pads: [0, 0, 0, 0] }, [x]);
  const negative = (x: Value) => build.op({ kind: "multiply" }, [x, build.constant(-1)]);
  const extremes = [maxima(value), negative(maxima(negative(value)))];
  const both = build.op({ kind: "concatenate", axis: 1 }, extremes);
  build.output(`${name}/extremes`, build.op({ kind: "reshape", shape: [2 * channels] }, [both]));
  return [name, `${name}/extremes`];
}
