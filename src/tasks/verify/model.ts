import { assertNotAborted, UsageError } from "../../base/errors.ts";
import type { Device, ImageSource, Platform, SessionOptions, Source, Tensors } from "../../base/platform.ts";
import { nameOfSource, readSource } from "../../base/source.ts";
import { imageInput } from "../../compiler/lower.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
import { scalePixels } from "../../graph/preprocessing.ts";
import { syntheticImages } from "../../graph/synthetic.ts";
import type { Weights } from "../../graph/weights.ts";
import { openWeightsFile } from "../../model/formats.ts";
import { imageBatch, imagePreparation } from "../../model/images.ts";
import { namingFile, withFileName } from "../../model/isolation.ts";
import { type ClassifierSession, isGraphToRun, loadGraph } from "../../model/load-model.ts";
import type { ImagePreprocessing } from "../../model/model.ts";
import { imageProblem } from "../../model/model-file.ts";
import { engineWithSignal, isolationOf } from "../../model/network-isolation.ts";
import { modelFrom, type OpenAsOptions, type OpenedModel, openAs, weightsFor } from "../../model/open-weights.ts";
import { isStated, type PreprocessingOptions, resolvePreprocessing } from "../../model/preprocessing.ts";
import { type WeightsSource, weightsSource } from "../../model/weights-file.ts";
import type { Shape } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../tensor/tensor.ts";
import { goldenBatch, parseGolden } from "./golden.ts";
import { comparedBlocks, compareTap, goldenReference, type Reference, valuesReference } from "./reference.ts";
import { defaultTolerance, type Judgment, judged, runGraph, tappedGraph, type VerifyTolerance } from "./verify.ts";

/** Options of {@link Verbs.verify}. */
export interface VerifyModelOptions
  extends PreprocessingOptions,
    Pick<OpenAsOptions, "network" | "architecture" | "key"> {
  readonly platform: Platform;
  /** A golden file, or another file of the same model. Default: the model itself. */
  readonly reference?: Source | undefined;
  /** Images to run in addition to the synthetic one. */
  readonly images?: readonly ImageSource[] | undefined;
  /** Default: all that are available on this machine. */
  readonly runtimes?: readonly Device[] | undefined;
  readonly tolerance?: VerifyTolerance | undefined;
  /** Stops with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
}

/** Comparison of a model's runtimes with a reference; also the JSON of `xception verify MODEL --json`. */
export interface ModelVerification {
  readonly model: string;
  readonly network: string;
  readonly inputShape: Shape;
  readonly reference: string;
  readonly images: readonly string[];
  readonly tolerance: VerifyTolerance;
  readonly runtimes: readonly RuntimeVerification[];
  /** Unavailable runtimes, with the reason. */
  readonly unavailable: readonly { readonly runtime: Device; readonly reason: string }[];
  readonly passed: boolean;
}

/** Differences of one runtime from the reference. */
export interface RuntimeVerification {
  readonly runtime: Device;
  /** Largest differences of blocks' outputs, as shares of their standard deviations. */
  readonly blocks: readonly (Judgment & { readonly block: string; readonly layer: string })[];
  /** Largest difference of a probability. */
  readonly probabilities?: Judgment;
  /**
   * The same for the file's own graph with bytes as input; only for our model files. An int8 graph is compared with itself
   * on the CPU.
   */
  readonly file?: Judgment;
  readonly passed: boolean;
}

/**
 * Runs a model on a synthetic image, and on others, in every runtime of this machine, and compares the outputs of its
 * blocks with a reference: by default the same model on the CPU, operator by operator, nothing folded or fused, which tests
 * the engine's optimizations; another file of the model, which tests the conversion; or a golden file.
 * @throws as {@link Verbs.verify}.
 */
export async function verifyModel(source: Source, given: VerifyModelOptions): Promise<ModelVerification> {
  const engine = engineWithSignal(given.platform.engine, given.signal);
  const options = { ...given, platform: { ...given.platform, engine } };
  const { platform, images = [], tolerance = defaultTolerance, network, architecture, key } = options;
  const opened = await weightsSource(source, platform, { architecture, key });
  if (isGraphToRun(opened, { network, architecture })) return verifyForeignGraph(source, opened, options);
  const model = await openAs(opened, { network, architecture });
  const { reference, inputs } = await referenceOf(model, images, options);
  // With options, the network is not the file's.
  const isOwn = architecture === undefined && Object.keys(network ?? {}).length === 0 && !isStated(options);
  const hasGraph = model.format === "model file" && inputs.bytes !== undefined;
  const ownGraph = isOwn && hasGraph ? opened.bytes : undefined;
  const runOwn = (graph: Uint8Array, device: Device) => runFile(graph, opened.where, inputs.bytes!, platform, device);
  // An int8 graph only approximates the float32 reference, which is for `quantize` to judge.
  const rounded = ownGraph && model.quantization ? await runOwn(ownGraph, "cpu") : undefined;
  const { output } = model.network;

  const { chosen, unavailable } = await chooseRuntimes(platform, options.runtimes);
  const layers = reference.blocks.map(({ layer }) => layer);
  const runtimes: RuntimeVerification[] = [];
  for (const device of chosen) {
    assertNotAborted(options.signal);
    const outputs = await run(model, layers, inputs, platform, { device });
    const whole = ownGraph && (await runOwn(ownGraph, device));
    const file = rounded
      ? compareTap("", { values: rounded[output]!.data as Float32Array }, whole![output] as FloatTensor, 1).difference
      : whole && reference.compare({ ...outputs, ...whole }).probabilities;
    runtimes.push(judge(device, reference, outputs, file, tolerance));
  }
  return {
    model: nameOfSource(source) ?? opened.where,
    ...aboutNetwork(model.network),
    reference: `${reference.description}${rounded ? "; of the file's own int8 graph: itself on the CPU" : ""}`,
    images: inputs.names,
    ...{ tolerance, runtimes, unavailable, passed: runtimes.every(({ passed }) => passed) },
  };
}

function aboutNetwork(network: Network) {
  return { network: network.name, inputShape: inputShapeOf(network) };
}

/** Compares the probabilities alone: a graph of another tool has no blocks. */
async function verifyForeignGraph(
  source: Source,
  opened: WeightsSource,
  options: VerifyModelOptions,
): Promise<ModelVerification> {
  const { platform, images = [], tolerance = defaultTolerance, reference } = options;
  const { network, preprocess, interpolation, fit } = options;
  if (reference !== undefined) {
    throw new UsageError({
      where: "verify option reference",
      what: "a graph of another tool can only be compared with itself",
      remedy: "Leave the reference out, or name the network of the graph's weights.",
    });
  }
  const load = (settings: SessionOptions) =>
    loadGraph(opened, { network, preprocess, interpolation, fit }, platform.engine, settings);
  const unoptimized = await load({ device: "cpu", optimize: false });
  const inputs = await verifyImages(unoptimized.network, unoptimized.preprocessing, images, platform);
  const outputOf = async ({ session, network: { output } }: ClassifierSession): Promise<FloatTensor> => {
    const outputs = await session.run({ [imageInput]: inputs.bytes! }).finally(() => session.dispose());
    return outputs[output] as FloatTensor;
  };
  const { data: values } = await outputOf(unoptimized);
  const { chosen, unavailable } = await chooseRuntimes(platform, options.runtimes);
  const runtimes: RuntimeVerification[] = [];
  for (const runtime of chosen) {
    const { difference } = compareTap("probabilities", { values }, await outputOf(await load({ device: runtime })));
    const probabilities = judged(difference, tolerance.probabilities);
    runtimes.push({ runtime, blocks: [], probabilities, passed: probabilities.passed });
  }
  return {
    model: nameOfSource(source) ?? opened.where,
    ...aboutNetwork(unoptimized.network),
    reference: "the graph itself on the CPU, operator by operator, nothing fused",
    images: inputs.names,
    ...{ tolerance, runtimes, unavailable, passed: runtimes.every(({ passed }) => passed) },
  };
}

async function referenceOf(model: OpenedModel, images: readonly ImageSource[], options: VerifyModelOptions) {
  const { platform, reference: source } = options;
  const { network } = model;
  const name = source === undefined ? "the model itself" : (nameOfSource(source) ?? "reference");
  const golden = source && (await readGolden(source, name, platform));
  if (golden) {
    if (images.length > 0) {
      throw new UsageError({
        where: "verify option images",
        what: "a golden file's values are of the synthetic images alone",
        remedy: "Leave the images out, or take another file of the model as the reference.",
      });
    }
    const values = syntheticImages(goldenBatch(golden), inputShapeOf(network) as [number, number, number]);
    const names = Array.from({ length: values.shape[0]! }, (_, index) => `synthetic ${index + 1}`);
    return { reference: goldenReference(network, golden, name), inputs: { names, values, bytes: undefined } };
  }
  const { preprocessing } = resolvePreprocessing(model, options);
  const inputs = await verifyImages(network, preprocessing, images, platform);
  const other = source === undefined ? model : await openReference(source, network, platform);
  const layers = comparedBlocks(network).flatMap(({ layer }) =>
    other.network.layers.filter(({ name }) => name === layer),
  );
  const names = layers.map(({ name }) => name);
  const values = await run(other, names, inputs, platform, { device: "cpu", optimize: false });
  const output = values[other.network.output] as FloatTensor;
  const format = source === undefined ? "" : ` (${other.format})`;
  const description = `${name}${format} on the CPU, operator by operator, nothing folded or fused`;
  return { reference: valuesReference(network, values, output, description, `reference "${name}"`), inputs };
}

/** JSON that is not a TensorFlow.js model is a golden file. */
async function readGolden(source: Source, name: string, platform: Platform) {
  const bytes = await readSource(source, platform);
  if (bytes.find((byte) => byte > 0x20) !== "{".charCodeAt(0)) return undefined;
  const text = new TextDecoder().decode(bytes);
  return /"(modelTopology|weightsManifest)"\s*:/.test(text) ? undefined : parseGolden(text, name);
}

/** A file with only weights is loaded into the model's network. */
async function openReference(source: Source, network: Network, platform: Platform) {
  const opened = await weightsSource(source, platform, { architecture: network });
  const file = await openWeightsFile(opened);
  if (file.describedNetwork !== undefined) return modelFrom(file, opened.where, inputShapeOf(network));
  return { network, ...weightsFor(network, file, { where: opened.where }) };
}

/** Outputs of layers, channels last, and of the network. */
async function run(
  { network, weights }: { readonly network: Network; readonly weights: Weights },
  layers: readonly string[],
  { values }: VerifyImages,
  platform: Platform,
  settings: SessionOptions,
): Promise<Tensors> {
  const graph = tappedGraph(network, weights, [...new Set([...layers, network.output])], values.shape[0]!);
  return runGraph(graph, settings.optimize === false ? "exact" : "inference", values, platform, settings);
}

/** Runs a file's own graph, whatever it may be. */
async function runFile(graph: Uint8Array, where: string, images: Tensor, { engine }: Platform, device: Device) {
  const [, height, width] = images.shape as [number, number, number];
  const isolation = isolationOf(graph, where, [height, width]);
  const session = await engine.createSession(graph, { device, isolation }).catch(namingFile(where));
  return withFileName(session, where)
    .run({ [imageInput]: images })
    .finally(() => session.dispose());
}

async function chooseRuntimes(platform: Platform, wanted: readonly Device[] | undefined) {
  if (wanted !== undefined) return { chosen: [...new Set(wanted)], unavailable: [] };
  const statuses = await platform.engine.listDevices();
  return {
    chosen: statuses.flatMap(({ device, available }) => (available ? [device] : [])),
    unavailable: statuses.flatMap(({ device, reason }) => (reason === undefined ? [] : [{ runtime: device, reason }])),
  };
}

function judge(
  runtime: Device,
  reference: Reference,
  outputs: Tensors,
  file: number | undefined,
  tolerance: VerifyTolerance,
): RuntimeVerification {
  const { taps, probabilities } = reference.compare(outputs);
  const blocks = reference.blocks.map(({ name, layer }, index) => {
    const difference = Math.max(taps[index]!.difference, taps[index]!.statisticsDifference);
    return { block: name, layer, ...judged(difference, tolerance.taps) };
  });
  const verdicts = {
    ...(probabilities !== undefined && { probabilities: judged(probabilities, tolerance.probabilities) }),
    ...(file !== undefined && { file: judged(file, tolerance.probabilities) }),
  };
  const passed = [...blocks, ...Object.values(verdicts)].every((each) => each.passed);
  return { runtime, blocks, ...verdicts, passed };
}

/** Images to run through the network. */
interface VerifyImages {
  /** Their names in reports. */
  readonly names: readonly string[];
  /** `[N, H, W, C]`, as the network's first layer gets them. */
  readonly values: FloatTensor;
  /** `[N, H, W, 3]`, of the network's size, as a model file gets them; undefined for networks that do not read images. */
  readonly bytes: Tensor<"uint8"> | undefined;
}

/** The synthetic image, rounded to bytes where the network reads images, and the user's images. */
async function verifyImages(
  network: Network,
  preprocessing: ImagePreprocessing,
  files: readonly ImageSource[],
  platform: Platform,
): Promise<VerifyImages> {
  const shape = inputShapeOf(network) as [number, number, number];
  const problem = imageProblem(network);
  if (problem) {
    if (files.length === 0) return { names: ["synthetic"], values: syntheticImages(1, shape), bytes: undefined };
    throw new UsageError({ where: "verify option images", ...problem });
  }
  const [height, width, channels] = shape;
  const rounded = Uint8Array.from(syntheticImages(1, [height, width, 3]).data, (value) =>
    Math.min(255, Math.max(0, Math.round(127.5 * (value + 1)))),
  );
  const preparation = imagePreparation({ network, preprocessing }, platform);
  const prepared = await Promise.all(files.map((image) => preparation.prepare(image))).finally(() =>
    preparation.dispose(),
  );
  const bytes = imageBatch([{ width, height, data: rounded }, ...prepared]);
  const values = scalePixels(bytes.data, channels, preprocessing);
  const named = files.map((file, index) => (typeof file === "string" ? file : `image ${index + 1}`));
  return { names: ["synthetic", ...named], values: floatTensor([bytes.shape[0]!, ...shape], values), bytes };
}
