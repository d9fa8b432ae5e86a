import { FormatError, UsageError } from "../../base/errors.ts";
import { deviceFor, type Platform, type SessionOptions, type Tensors } from "../../base/platform.ts";
import { compileGraph } from "../../compiler/compile.ts";
import { inferenceForm } from "../../compiler/inference.ts";
import { imageInput, lower } from "../../compiler/lower.ts";
import { countParameters, inputShapeOf, type Network, networkWeights, outputLayer } from "../../graph/network.ts";
import { kerasPreprocessing } from "../../graph/preprocessing.ts";
import { syntheticImages, syntheticWeights, torchSyntheticTensor } from "../../graph/synthetic.ts";
import { fromTorchLayout, torchShape } from "../../graph/torch-layout.ts";
import { toEngineWeights, type Weights } from "../../graph/weights.ts";
import { loadWeights } from "../../model/open-weights.ts";
import {
  type Architecture,
  type ArchitectureName,
  architectureNamed,
  buildNetwork,
  type NetworkOptions,
} from "../../models/registry.ts";
import { timmNames } from "../../models/timm-names.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import { channelBlock } from "../../train/step/step-program.ts";
import { type Golden, goldenBatch, goldenName, parsePhotoGolden, type TimmGolden } from "./golden.ts";
import {
  checkGolden,
  compareMeans,
  compareWithGolden,
  featuresLayer,
  statisticsOf,
  type TapDifference,
} from "./reference.ts";

/**
 * The form in which a network is compiled for the engine. `inference`: batch normalization folded into the
 * convolutions, as shipped. `training`: nothing folded and channels in blocks, where the engine has such a layout, as
 * in training steps. `exact`: operator for operator, as in model files.
 */
export type VerifyLayout = "exact" | "inference" | "training";

/** The largest differences that pass. */
export interface VerifyTolerance {
  /** For a tap, as a share of its standard deviation; default 1e-3. */
  readonly taps: number;
  /** For a probability; default 1e-4. */
  readonly probabilities: number;
}

export const defaultTolerance: VerifyTolerance = { taps: 1e-3, probabilities: 1e-4 };

/** A difference, and whether it is small enough. */
export interface Judgment {
  readonly difference: number;
  readonly passed: boolean;
}

/** Judges a difference: comparisons with NaN are false, and a NaN does not pass. */
export function judged(difference: number, allowed: number): Judgment {
  return { difference, passed: difference <= allowed };
}

/** Options of {@link verifyGolden}. */
export interface VerifyOptions {
  readonly platform: Platform;
  readonly tolerance?: VerifyTolerance;
  /** Default `inference`. */
  readonly layout?: VerifyLayout;
}

interface VerifyNetworkOptions extends VerifyOptions {
  /** Default: synthetic. */
  readonly weights?: Weights;
  /** `[N, H, W, C]`, as many as the golden values are of; default: synthetic. */
  readonly images?: FloatTensor;
  /** Expected means of the first channels of the last tapped feature map. */
  readonly pooled?: readonly number[] | undefined;
}

/** Comparison of a network with a golden file; also the JSON of `xception verify --golden --json`. */
export interface Verification {
  readonly network: string;
  readonly inputShape: readonly number[];
  /** Undefined without a classifier. */
  readonly classes: number | undefined;
  /** Number of images. */
  readonly batchSize: number;
  readonly layout: VerifyLayout;
  readonly tolerance: VerifyTolerance;
  readonly taps: readonly (TapDifference & { readonly passed: boolean })[];
  readonly probabilities: Judgment | undefined;
  readonly passed: boolean;
}

/**
 * Builds the network of a golden file with synthetic weights, runs it on synthetic images, and compares every number in the
 * file.
 * @param file the golden file's name, for errors.
 * @throws {FormatError} the file does not fit its network.
 * @throws {UsageError} an option of its architecture is not allowed.
 * @throws {RuntimeUnavailableError} the engine is not available.
 * @example
 * const golden = parseGolden(text, "xception-paper-150x150-10.json");
 * const { passed, taps } = await verifyGolden(golden, "xception-paper-150x150-10.json", { platform });
 */
export function verifyGolden(golden: Golden, file: string, options: VerifyOptions): Promise<Verification> {
  return verifyNetwork(buildNetwork(golden.architecture), golden, file, options);
}

/** Compares a given network with a golden file, as {@link verifyGolden} does. */
export async function verifyNetwork(
  network: Network,
  golden: Golden,
  file: string,
  options: VerifyNetworkOptions,
): Promise<Verification> {
  const { platform, tolerance = defaultTolerance, layout = "inference" } = options;
  const { weights = syntheticWeights(network), images, pooled } = options;
  checkGolden(network, golden, goldenName(file));
  const batchSize = goldenBatch(golden);
  const inputShape = inputShapeOf(network) as readonly [number, number, number];
  const outputs = [...new Set([...Object.keys(golden.taps), featuresLayer(network), network.output])];
  const graph = tappedGraph(network, weights, outputs, batchSize);
  const results = await runGraph(graph, layout, images ?? syntheticImages(batchSize, inputShape), platform);
  const { taps, probabilities } = compareWithGolden(network, golden, results, goldenName(file));
  const last = Object.keys(golden.taps).at(-1);
  const means = pooled && last ? [compareMeans(last, pooled, results[last] as FloatTensor)] : [];
  const allowed = tolerance.taps;
  const judgedTaps = [...taps, ...means].map((tap) => {
    return { ...tap, passed: judged(Math.max(tap.difference, tap.statisticsDifference), allowed).passed };
  });
  const top = probabilities === undefined ? undefined : judged(probabilities, tolerance.probabilities);
  const { config } = outputLayer(network);
  return {
    network: network.name,
    inputShape,
    classes: config.type === "Dense" ? config.units : undefined,
    batchSize,
    layout,
    tolerance,
    taps: judgedTaps,
    probabilities: top,
    passed: judgedTaps.every(({ passed }) => passed) && top?.passed !== false,
  };
}

/**
 * Lowers a network that outputs some of its layers: float32 images in, channels last out; with its weights in the
 * engine's layout.
 */
export function tappedGraph(network: Network, weights: Weights, outputs: readonly string[], batchSize: number) {
  const { graph } = lower(network, { mode: "inference", batchSize, outputs });
  return { graph, weights: toEngineWeights(network, weights) };
}

/** Runs a graph on images, compiled in a layout; the training layout is fed with the weights. */
export async function runGraph(
  { graph, weights }: ReturnType<typeof tappedGraph>,
  layout: VerifyLayout,
  images: FloatTensor,
  platform: Platform,
  options?: SessionOptions,
): Promise<Tensors> {
  const isTraining = layout === "training";
  const form = layout === "inference" ? inferenceForm(deviceFor(platform.engine, options)) : layout;
  const model = isTraining
    ? compileGraph(graph, new Map(), { form, blockSize: await channelBlock(platform) })
    : compileGraph(graph, weights, { form });
  const session = await platform.engine.createSession(model, options);
  const feeds = { [imageInput]: images, ...(isTraining && Object.fromEntries(weights)) };
  return session.run(feeds).finally(() => session.dispose());
}

/** The size of images of golden files of timm. */
const timmShape = [101, 86, 3] as const;

/**
 * Fills a network with synthetic weights, in timm's order and layout, and compares its logits with what timm computed, and
 * its parameters, entries and epsilon with timm's.
 * @param name of the network, which must be in the golden file.
 * @param network options that differ from the network of this name.
 * @throws {UsageError} the file does not have this network.
 * @throws {FormatError} its logits are of different numbers of classes, or the file's facts are of another network.
 */
export async function verifyTimm(
  golden: TimmGolden,
  file: string,
  name: ArchitectureName,
  { network: changed, ...options }: VerifyOptions & { readonly network?: NetworkOptions },
): Promise<Verification> {
  const where = goldenName(file);
  const facts = Object.hasOwn(golden, name) ? golden[name]! : undefined;
  if (facts === undefined) {
    const names = Object.keys(golden).join(", ");
    throw new UsageError({ where, what: "the file does not have this network", received: name, expected: names });
  }
  const { logits } = facts;
  const classes = logits[0]!.length;
  if (logits.some(({ length }) => length !== classes)) {
    throw new FormatError({ where: `${where}, field ${name}.logits`, what: "its rows are of different lengths" });
  }
  const task = { inputShape: timmShape, classes, classifierActivation: "none" } as const;
  const architecture = architectureNamed(name, { ...task, ...changed });
  const network = buildNetwork(architecture);
  // With other options it is not timm's network any longer.
  if (changed === undefined || Object.keys(changed).length === 0) {
    checkTimmFacts(facts, architecture, network, `${where}, field ${name}`);
  }
  const tap = logitsAsTap(network.output, logits);
  const weights = timmSyntheticWeights(architecture);
  return verifyNetwork(network, { architecture, taps: tap }, file, { ...options, weights });
}

function checkTimmFacts(
  { params, keys, bn_eps: epsilons }: TimmGolden[string],
  architecture: Architecture,
  network: Network,
  where: string,
): void {
  const check = (field: string, facts: unknown, own: unknown): void => {
    const [received, expected] = [JSON.stringify(facts), JSON.stringify(own)];
    if (facts === undefined || received === expected) return;
    throw new FormatError({ where: `${where}.${field}`, what: "the network here has others", received, expected });
  };
  check("params", params, countParameters(networkWeights(network)).trainable);
  const stored = timmNames(architecture).flatMap(({ name, weight }, index) =>
    weight ? [[index, name, torchShape(weight)]] : [],
  );
  check("keys", keys, typeof keys === "number" ? stored.length : stored);
  const own = network.layers.flatMap(({ config }) => (config.type === "BatchNormalization" ? [config.epsilon] : []));
  check("bn_eps", epsilons, [...new Set(own)]);
}

/** Returns synthetic weights in timm's order, for a network of timm. */
export function timmSyntheticWeights(architecture: Architecture): Weights {
  const weights = timmNames(architecture).flatMap(({ name, weight }, index) => {
    if (weight === undefined) return [];
    const tensor = torchSyntheticTensor(name, torchShape(weight), index);
    return [[weight.name, fromTorchLayout(weight, tensor)] as const];
  });
  return new Map(weights);
}

function logitsAsTap(layer: string, logits: readonly (readonly number[])[]): Golden["taps"] {
  const values = logits.flat();
  const { std } = statisticsOf(values);
  return { [layer]: { shape: [logits.length, logits[0]!.length], std, at: [...values.keys()], values } };
}

interface VerifyPhotoOptions extends VerifyOptions {
  readonly architecture?: ArchitectureName | undefined;
  /** Options of the network that the weights are of; default: no top. */
  readonly network?: NetworkOptions | undefined;
  /** Path of the weights that the other tool had, in any format. */
  readonly weights: string;
  /** As in `loadWeights`. */
  readonly allowMissing?: string | undefined;
  /** Path of the photo, of the network's size. */
  readonly image: string;
}

/**
 * Compares the layers of a network with real weights for a photo with those of another tool. The photo is scaled as
 * keras.applications does.
 * @param text of the file that `parsePhotoGolden` reads.
 * @throws {FormatError} the file does not fit the network, or a file is damaged.
 * @throws {FileError} a file is missing.
 * @throws {WeightsError} the weights are not the network's, beyond what may be missing.
 */
export async function verifyPhoto(
  text: string,
  file: string,
  {
    weights: source,
    allowMissing,
    image,
    architecture: name = "xception",
    network: given,
    ...rest
  }: VerifyPhotoOptions,
): Promise<Verification> {
  const { platform } = rest;
  const { taps, pooled } = parsePhotoGolden(text, file);
  const architecture = architectureNamed(name, { includeTop: false, ...given });
  const network = buildNetwork(architecture);
  const { weights } = await loadWeights(network, source, platform, { allowMissing });
  const [height, width] = inputShapeOf(network) as [number, number, number];
  const { data } = await platform.images.decode(image, { width, height });
  const { scale, offset } = kerasPreprocessing;
  const pixels = Float32Array.from(data, (pixel) => pixel * scale + offset);
  const images = floatTensor([1, height, width, 3], pixels);
  return verifyNetwork(network, { architecture, taps }, file, { ...rest, weights, images, pooled });
}
