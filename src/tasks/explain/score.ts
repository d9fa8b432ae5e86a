import { UsageError } from "../../base/errors.ts";
import type { ImageSource, OnPlatform, RgbImage } from "../../base/platform.ts";
import type { ExplanationScore, SkippedFile, Spread } from "../../base/records.ts";
import type { LabeledBox } from "../../data/boxes.ts";
import { asImageError } from "../../data/image-loading.ts";
import { initializeWeights } from "../../graph/initialize.ts";
import type { Network } from "../../graph/network.ts";
import { mulberry32 } from "../../tensor/random.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import { Explainer, type ExplainOptions, type Explanation } from "./explainer.ts";
import { resizeMap } from "./maps.ts";
import type { ExplanationMethod } from "./methods.ts";
import { blurred, imputed, masked, neutralColor } from "./perturbations.ts";
import { pointingGame } from "./pointing.ts";
import { type ExplainedGraph, type ExplainedModel, hasLayers, loadProbe, type Probe } from "./probe.ts";

/** Tests of methods of explanation, and of baselines, on some images. */
export interface ExplanationScores {
  readonly images: number;
  readonly skipped: readonly SkippedFile[];
  /** Methods, then the baselines. */
  readonly scores: readonly ExplanationScore[];
}

/** Options of {@link scoreExplanations}. */
export interface ScoreOptions extends Omit<ExplainOptions, "method" | "label" | "against">, OnPlatform {
  readonly methods: readonly ExplanationMethod[];
  /** Boxes around objects in some of the images, for the pointing game; of classes that the model lacks, they are ignored. */
  readonly boxes?: readonly LabeledBox[] | undefined;
  /** Images of the randomization; default: the first 5. */
  readonly randomizedImages?: number | undefined;
  /** Called after each image of each method. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** An image to explain, and its name in reports. */
export interface NamedImage {
  readonly file: string;
  readonly image: ImageSource;
}

/** Parts of the image that are hidden or revealed, in the curves and in ROAD. */
const curveSteps = 20;
const roadShares = [0.2, 0.4, 0.6, 0.8];

/** Largest rank correlation with a randomized network that a method may have. */
const sanityLimit = 0.5;

/**
 * Tests methods of explanation on a model's top classes: does the probability fall when a map's top positions are hidden, and
 * does the map change when the weights do (Adebayo et al. 2018)?
 * @throws {UsageError} there are no readable images, or an option is invalid.
 * @throws {AbortedError} the signal fired.
 */
export async function scoreExplanations(
  model: ExplainedModel | ExplainedGraph,
  images: readonly NamedImage[],
  { platform, session, methods, boxes, randomizedImages = 5, onProgress, ...options }: ScoreOptions,
): Promise<ExplanationScores> {
  const game = boxes && pointingGame(boxes, images, model, platform);
  // Two copies of the network: one outputs the layers to explain, the other only probabilities. A graph has one session.
  const explaining = await loadProbe(model, platform, session);
  const explainer = new Explainer(explaining);
  const probe = hasLayers(model) ? await loadProbe(model, platform, session) : explaining;
  const { signal } = options;
  const skipped = new Map<string, string>();
  const cascade = hasLayers(model) ? [classifierOf(model.network), ...shares(model.network)] : [];
  const total =
    (methods.length + 2) * images.length + methods.length * cascade.length * Math.min(randomizedImages, images.length);
  let done = 0;
  const advance = () => onProgress?.({ done: ++done, total });
  const scores: ExplanationScore[] = [];
  const untested = { randomization: undefined, incompleteness: undefined, isSane: undefined };
  const found = new Map<ExplanationMethod, ExplainedFile[]>();
  try {
    for (const method of methods) explainer.assertValid({ ...options, method });
    for (const method of methods) {
      const tested: Faithfulness[] = [];
      const explanations: ExplainedFile[] = [];
      game?.start();
      for (const { file, image } of images) {
        const explanation = await explainer.explain(image, { ...options, method }).catch(asImageError);
        if (explanation instanceof Error) skipped.set(file, explanation.message);
        else {
          explanations.push({ file, explanation });
          tested.push(await faithfulness(probe, explanation, explanation.map, signal));
          await game?.play(file, explanation, async (label) => {
            const isTop = label === explanation.label;
            return isTop ? explanation.map : (await explainer.explain(image, { ...options, method, label })).map;
          });
        }
        advance();
      }
      found.set(method, explanations);
      scores.push({ method, ...summaryOf(tested), pointing: game?.result(), ...untested });
    }
    const known = found.get(methods[0]!) ?? [];
    if (known.length === 0) throw new UsageError({ where: "explain --score", what: "none of the images can be read" });
    for (const [name, mapOf] of Object.entries(baselines)) {
      const tested: Faithfulness[] = [];
      game?.start();
      for (const [index, { file, explanation }] of known.entries()) {
        const map = mapOf(explanation.image, index);
        tested.push(await faithfulness(probe, explanation, map, signal));
        await game?.play(file, explanation, async () => map);
        advance();
      }
      const method = name as keyof typeof baselines;
      scores.push({ method, ...summaryOf(tested), pointing: game?.result(), ...untested });
    }
  } finally {
    await Promise.all([explainer.dispose(), probe.dispose()]);
  }

  const correlations = new Map(methods.map((method) => [method, [] as Spread[]]));
  for (const layers of cascade) {
    const randomized = new Explainer(
      await loadProbe(withRandomLayers(model as ExplainedModel, layers), platform, session),
    );
    try {
      for (const method of methods) {
        const values: number[] = [];
        for (const {
          explanation: { image, label, map },
        } of found.get(method)!.slice(0, randomizedImages)) {
          const other = await randomized.explain(image, { ...options, method, label });
          values.push(rankCorrelation(map.data, other.map.data));
          advance();
        }
        correlations.get(method)!.push(spreadOf(values));
      }
    } finally {
      await randomized.dispose();
    }
  }
  return {
    images: found.get(methods[0]!)!.length,
    skipped: [...skipped].map(([file, reason]) => ({ file, reason })),
    scores: scores.map((score) => {
      const randomization = correlations.get(score.method as ExplanationMethod);
      if (!randomization) return score;
      const errors = found
        .get(score.method as ExplanationMethod)!
        .flatMap(({ explanation: { incompleteness } }) => incompleteness ?? []);
      return {
        ...score,
        randomization: randomization.length > 0 ? randomization : undefined,
        incompleteness: errors.length > 0 ? spreadOf(errors) : undefined,
        isSane: randomization.length > 0 ? randomization.every(({ mean }) => mean <= sanityLimit) : undefined,
      };
    }),
  };
}

interface ExplainedFile {
  readonly file: string;
  readonly explanation: Explanation;
}

type Faithfulness = Readonly<Record<"deletion" | "insertion" | "difference" | "road", number>>;

/** Maps that know the image but not the network. */
const baselines = {
  random: ({ height, width }: RgbImage, index: number): FloatTensor => {
    const random = mulberry32(index);
    const blobs = floatTensor([10, 10], Float32Array.from({ length: 100 }, random));
    return resizeMap(blobs, [height, width]);
  },
  edges: edgesOf,
} as const;

/** Magnitude of the brightness's gradient (Sobel). */
function edgesOf({ height, width, data }: RgbImage): FloatTensor {
  const luma = (y: number, x: number) => {
    const at = 3 * (Math.min(height - 1, Math.max(0, y)) * width + Math.min(width - 1, Math.max(0, x)));
    return 0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!;
  };
  const edges = floatTensor([height, width]);
  for (const position of edges.data.keys()) {
    const [y, x] = [Math.floor(position / width), position % width];
    let [down, right] = [0, 0];
    for (const step of [-1, 0, 1]) {
      const weight = step === 0 ? 2 : 1;
      down += weight * (luma(y + 1, x + step) - luma(y - 1, x + step));
      right += weight * (luma(y + step, x + 1) - luma(y + step, x - 1));
    }
    edges.data[position] = Math.hypot(down, right);
  }
  return edges;
}

/** Hides and reveals an image in the order of a map. */
async function faithfulness(
  probe: Probe,
  { image, index }: Explanation,
  map: FloatTensor,
  signal?: AbortSignal,
): Promise<Faithfulness> {
  const { height, width } = image;
  const order = orderOf(resizeMap(map, [height, width]).data);
  const color = neutralColor(probe.model.preprocessing);
  const blurry = blurred(image);
  const steps = Array.from({ length: curveSteps + 1 }, (_, step) => step / curveSteps);
  /** 1 at the first share of the positions, or the last, else 0. */
  const chosen = (share: number, from: "most" | "least") => {
    const mask = floatTensor([height, width]);
    const count = Math.round(share * order.length);
    for (const position of from === "most" ? order.subarray(0, count) : order.subarray(order.length - count)) {
      mask.data[position] = 1;
    }
    return mask;
  };
  const inverted = (mask: FloatTensor) => ({ ...mask, data: mask.data.map((value) => 1 - value) });
  const scores = async (images: readonly RgbImage[]) =>
    (await probe.observe(images, [], signal)).map(({ probabilities }) => probabilities[index]!);
  const deletion = area(await scores(steps.map((share) => masked(image, inverted(chosen(share, "most")), color))));
  const insertion = area(await scores(steps.map((share) => masked(image, chosen(share, "most"), blurry.data))));
  const without = (from: "most" | "least") => roadShares.map((share) => imputed(image, chosen(share, from)));
  const most = mean(await scores(without("most")));
  const least = mean(await scores(without("least")));
  return { deletion, insertion, difference: insertion - deletion, road: (least - most) / 2 };
}

/** Positions by descending value; equal ones in their order. */
function orderOf(values: Float32Array): Uint32Array {
  return Uint32Array.from(values.keys()).sort((a, b) => values[b]! - values[a]! || a - b);
}

/** Trapezoidal rule over equal steps of a unit interval. */
function area(values: readonly number[]): number {
  const ends = (values[0]! + values.at(-1)!) / 2;
  return (values.slice(1, -1).reduce((sum, value) => sum + value, 0) + ends) / (values.length - 1);
}

/** The output layer, or the last one with weights. */
function classifierOf({ layers }: Network): ReadonlySet<string> {
  return new Set([layers.findLast(({ weights }) => weights.length > 0)!.name]);
}

/** The last third, two thirds and all of the layers with weights. */
function shares({ layers }: Network): readonly ReadonlySet<string>[] {
  const names = layers.filter(({ weights }) => weights.length > 0).map(({ name }) => name);
  return [1, 2, 3].map((thirds) => new Set(names.slice(Math.floor(names.length * (1 - thirds / 3)))));
}

/** The model with the named layers reinitialized. */
function withRandomLayers(model: ExplainedModel, layers: ReadonlySet<string>): ExplainedModel {
  const initial = initializeWeights({ ...model.network, seed: 1 });
  const random = model.network.layers.filter(({ name }) => layers.has(name)).flatMap(({ weights }) => weights);
  return {
    ...model,
    weights: new Map([...model.weights, ...random.map(({ name }) => [name, initial.get(name)!] as const)]),
  };
}

/** Spearman's rank correlation; equal values share their mean rank. 0 if either list is constant. */
function rankCorrelation(a: Float32Array, b: Float32Array): number {
  const [x, y] = [ranks(a), ranks(b)];
  const [meanX, meanY] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (const [index, value] of x.entries()) {
    xy += (value - meanX) * (y[index]! - meanY);
    xx += (value - meanX) ** 2;
    yy += (y[index]! - meanY) ** 2;
  }
  return xx === 0 || yy === 0 ? 0 : xy / Math.sqrt(xx * yy);
}

function ranks(values: Float32Array): number[] {
  const order = orderOf(values);
  const found = new Array<number>(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (const position of order.subarray(start, end)) found[position] = (start + end - 1) / 2;
    start = end;
  }
  return found;
}

function summaryOf(tested: readonly Faithfulness[]) {
  const of = (key: keyof Faithfulness) => spreadOf(tested.map((each) => each[key]));
  return { deletion: of("deletion"), insertion: of("insertion"), difference: of("difference"), road: of("road") };
}

function spreadOf(values: readonly number[]): Spread {
  const center = mean(values);
  return { mean: center, deviation: Math.sqrt(mean(values.map((value) => (value - center) ** 2))) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
