import { scalePixels } from "../../graph/preprocessing.ts";
import { drawNormal, mulberry32 } from "../../tensor/random.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import { channelSums, type GradientCam, gradientCam, gradientCams, positivePart } from "./maps.ts";
import { channelMasks, occlusionMasks, riseMasks } from "./perturbations.ts";
import type { Probe, Reads, Subject } from "./probe.ts";

/** Options of a method, with their defaults. */
export interface MethodOptions {
  readonly layer: string;
  readonly samples: number;
  readonly eigenSmooth: boolean;
  readonly seed: number;
}

/** The result of a method. */
export interface Evidence {
  /** `[height, width]`. */
  readonly map: FloatTensor;
  /** See `Explanation.incompleteness`. */
  readonly incompleteness?: number;
}

interface Method {
  readonly reads: Reads;
  /** Default number of samples; undefined if the method takes none. */
  readonly samples?: number;
  readonly isRandom?: boolean;
  readonly explain: (probe: Probe, subject: Subject, options: MethodOptions) => Promise<Evidence>;
}

/**
 * Methods of explanation: of a layer's activations (the CAMs), of the gradient with respect to the pixels
 * (`integrated-gradients`, `smooth-grad`), and of the scores of partly hidden images (`occlusion`, `rise`).
 */
export const explanationMethods = [
  ...gradientCams,
  "score-cam",
  "integrated-gradients",
  "smooth-grad",
  "occlusion",
  "rise",
] as const;
/** A method of {@link explanationMethods}. */
export type ExplanationMethod = (typeof explanationMethods)[number];

/** The methods, by name. */
export const methods: Readonly<Record<ExplanationMethod, Method>> = {
  ...(Object.fromEntries(gradientCams.map((method) => [method, byGradient(method)])) as Record<GradientCam, Method>),
  "score-cam": { reads: "activations", samples: 128, explain: scoreCam },
  "integrated-gradients": { reads: "pixels", samples: 256, explain: integratedGradients },
  "smooth-grad": { reads: "pixels", samples: 25, isRandom: true, explain: smoothGrad },
  occlusion: { reads: "scores", samples: 169, explain: occlusion },
  rise: { reads: "scores", samples: 1000, isRandom: true, explain: rise },
};

/** Returns whether an option has an effect on a method. */
export function isUsed(option: "layer" | "samples" | "eigenSmooth" | "seed", method: ExplanationMethod): boolean {
  const { reads, samples, isRandom = false } = methods[method];
  if (option === "seed") return isRandom;
  if (option === "samples") return samples !== undefined;
  return reads === "gradient" || (option === "layer" && reads === "activations");
}

function byGradient(method: GradientCam): Method {
  const explain: Method["explain"] = async (probe, subject, { layer, eigenSmooth }) => {
    const { activations, gradient } = await probe.gradient(subject, layer);
    return { map: gradientCam(method, activations, gradient, { eigenSmooth }) };
  };
  return { reads: "gradient", explain };
}

/** Wang et al. 2020: the channels' maps, weighted by how much of the score returns with what each lets through. */
async function scoreCam(probe: Probe, subject: Subject, { layer, samples }: MethodOptions): Promise<Evidence> {
  const { height, width } = subject.image;
  const activations = subject.layers[layer]!;
  const masks = [...channelMasks(activations, [height, width], samples)];
  const nothing = floatTensor([height, width]);
  const [baseline, ...scores] = await probe.maskedScores(subject, [nothing, ...masks.map(({ mask }) => mask)]);
  const weights = new Float32Array(activations.shape[3]!);
  for (const [index, { channel }] of masks.entries()) weights[channel] = scores[index]! - baseline!;
  const data = activations.data.map((value, index) => value * weights[index % weights.length]!);
  return { map: positivePart(channelSums({ ...activations, data })) };
}

/** Error of integrated gradients, relative to the change of the logit, that is small enough. */
export const smallIncompleteness = 0.01;

/** Points on the path of integrated gradients to begin with, and those added at a time. */
const [firstPoints, addedPoints] = [17, 8];

/** A point on the path from black to the image: the explained logit there, and its gradient ⊙ (x − x′). */
interface PathPoint {
  /** 0 for the black image to 1 for the image itself. */
  readonly position: number;
  readonly score: number;
  /** `[H, W]` */
  readonly map: FloatTensor;
  /** Sum of the map: the slope of the logit along the path. */
  readonly slope: number;
}

/**
 * Sundararajan et al. 2017, from a black image x′: (x − x′) ⊙ the mean gradient on the way to x, by the trapezoidal rule.
 * Between two points the map has to add up to the change of the logit, which both runs compute anyway: points are added in
 * the middle of the intervals that miss it most, until all intervals together do not.
 */
async function integratedGradients(probe: Probe, subject: Subject, { samples }: MethodOptions): Promise<Evidence> {
  const pixels = subject.layers[probe.pixels]!;
  const black = scalePixels(new Uint8Array(subject.image.data.length), pixels.shape[3]!, probe.model.preprocessing);
  const difference = pixels.data.map((value, at) => value - black[at]!);
  const pointsAt = async (positions: readonly number[]): Promise<readonly PathPoint[]> => {
    const images = positions.map((position) => ({
      ...pixels,
      data: pixels.data.map((value, at) => value - (1 - position) * difference[at]!),
    }));
    const found = await probe.pixelGradients(images, subject);
    return found.map(({ gradient, score }, index) => {
      const map = channelSums({ ...pixels, data: gradient.map((value, at) => value * difference[at]!) });
      return { position: positions[index]!, score, map, slope: map.data.reduce((sum, value) => sum + value, 0) };
    });
  };
  const steps = Math.min(firstPoints, Math.max(2, samples)) - 1;
  let points = await pointsAt(Array.from({ length: steps + 1 }, (_, step) => step / steps));
  for (;;) {
    const change = Math.max(Math.abs(points.at(-1)!.score - points[0]!.score), Number.EPSILON);
    const intervals = points.slice(1).map((end, index) => intervalOf(points[index]!, end));
    const incompleteness = Math.abs(intervals.reduce((sum, { error }) => sum + error, 0)) / change;
    const added = Math.min(addedPoints, samples - points.length);
    if (incompleteness <= smallIncompleteness || added <= 0) return { map: trapezoidalMean(points), incompleteness };
    const worst = intervals.toSorted((a, b) => Math.abs(b.error) - Math.abs(a.error)).slice(0, added);
    const more = await pointsAt(worst.map(({ middle }) => middle));
    points = [...points, ...more].toSorted((a, b) => a.position - b.position);
  }
}

/** The middle between two points, and how much the mean of their slopes misses the change of the logit. */
function intervalOf(start: PathPoint, end: PathPoint) {
  const sum = ((end.position - start.position) * (start.slope + end.slope)) / 2;
  return { middle: (start.position + end.position) / 2, error: sum - (end.score - start.score) };
}

/** The mean of the maps of points from 0 to 1, linear between two points. */
function trapezoidalMean(points: readonly PathPoint[]): FloatTensor {
  const mean = floatTensor(points[0]!.map.shape);
  for (const [index, { position, map }] of points.entries()) {
    const before = points[index - 1]?.position ?? position;
    const weight = ((points[index + 1]?.position ?? position) - before) / 2;
    for (let at = 0; at < map.data.length; at++) mean.data[at]! += weight * map.data[at]!;
  }
  return mean;
}

/** Smilkov et al. 2017: the mean gradient of noisy images, its absolute values summed over the colors. */
async function smoothGrad(probe: Probe, subject: Subject, { samples, seed }: MethodOptions): Promise<Evidence> {
  const pixels = subject.layers[probe.pixels]!;
  const random = mulberry32(seed);
  const low = pixels.data.reduce((a, b) => Math.min(a, b));
  const high = pixels.data.reduce((a, b) => Math.max(a, b));
  const deviation = 0.15 * (high - low);
  const noisy = function* (): Generator<FloatTensor> {
    for (let sample = 0; sample < samples; sample++) {
      yield { ...pixels, data: pixels.data.map((value) => value + deviation * drawNormal(random)) };
    }
  };
  const mean = new Float32Array(pixels.data.length);
  for (const images of inGroups(noisy(), 8)) {
    for (const { gradient } of await probe.pixelGradients(images, subject)) {
      for (let at = 0; at < gradient.length; at++) mean[at]! += gradient[at]! / samples;
    }
  }
  return { map: channelSums({ ...pixels, data: mean.map(Math.abs) }) };
}

/** Zeiler and Fergus 2014: the mean fall of the score when a square over the position is hidden. */
async function occlusion(probe: Probe, subject: Subject, { samples }: MethodOptions): Promise<Evidence> {
  const { height, width } = subject.image;
  const masks = occlusionMasks([height, width], Math.max(1, Math.round(Math.sqrt(samples))));
  const everything = floatTensor([height, width], new Float32Array(height * width).fill(1));
  const [whole, ...scores] = await probe.maskedScores(subject, [everything, ...masks]);
  const sums = new Float32Array(height * width);
  const counts = new Float32Array(height * width);
  for (const [index, { data }] of masks.entries()) {
    for (const [position, kept] of data.entries()) {
      if (kept > 0) continue;
      sums[position]! += whole! - scores[index]!;
      counts[position]! += 1;
    }
  }
  const data = sums.map((sum, position) => sum / Math.max(1, counts[position]!));
  return { map: floatTensor([height, width], data) };
}

/** Petsiuk et al. 2018: the mean of random masks, weighted by the score of what they let through. */
async function rise(probe: Probe, subject: Subject, { samples, seed }: MethodOptions): Promise<Evidence> {
  const { height, width } = subject.image;
  const map = floatTensor([height, width]);
  for (const masks of inGroups(riseMasks([height, width], samples, seed), 32)) {
    const scores = await probe.maskedScores(subject, masks);
    for (const [index, { data }] of masks.entries()) {
      const weight = scores[index]! / (0.5 * samples);
      for (const [position, kept] of data.entries()) map.data[position]! += weight * kept;
    }
  }
  return { map };
}

function* inGroups<T>(items: Iterable<T>, size: number): Generator<readonly T[]> {
  let group: T[] = [];
  for (const item of items) {
    group.push(item);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}
