import { UsageError } from "../../base/errors.ts";
import type { Device, Platform, SessionOptions, Tensors } from "../../base/platform.ts";
import { readSource } from "../../base/source.ts";
import { imageInput } from "../../compiler/lower.ts";
import type { Weights } from "../../graph/initialize.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
import { openWeightsFile } from "../../model/formats.ts";
import { loadWeights, modelFrom, type OpenAsOptions, type OpenedModel, openAs } from "../../model/open-weights.ts";
import { weightsSource } from "../../model/weights-file.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { goldenBatch, parseGolden } from "./golden.ts";
import { comparedBlocks, type Differences, goldenReference, type Reference, valuesReference } from "./reference.ts";
import { runGraph, syntheticBatch, tappedGraph, type VerifyImages, verifyImages } from "./run.ts";
import { defaultTolerance, type VerifyTolerance } from "./verify.ts";

/** Options of {@link Verbs.verify}. */
export interface VerifyModelOptions extends Pick<OpenAsOptions, "network" | "architecture" | "key"> {
  readonly platform: Platform;
  /** Path of a golden file, or of another file of the same model. Default: the model itself. */
  readonly reference?: string | undefined;
  /** Paths of images to run in addition to the synthetic one. */
  readonly images?: readonly string[] | undefined;
  /** Default: all that are available on this machine. */
  readonly runtimes?: readonly Device[] | undefined;
  readonly tolerance?: VerifyTolerance | undefined;
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
  readonly blocks: readonly {
    readonly block: string;
    readonly layer: string;
    readonly difference: number;
    readonly passed: boolean;
  }[];
  /** Largest difference of a probability. */
  readonly probabilities?: { readonly difference: number; readonly passed: boolean };
  /** The same for the file's own graph with bytes as input; only for our model files. */
  readonly file?: { readonly difference: number; readonly passed: boolean };
  readonly passed: boolean;
}

/**
 * Runs a model on a synthetic image, and on others, in every runtime of this machine, and compares the outputs of its
 * blocks with a reference: by default the same model on the CPU, operator by operator, nothing folded or fused, which tests
 * the engine's optimizations; another file of the model, which tests the conversion; or a golden file.
 * @param source the model's path: a file of any format that `openAs` knows, which takes the options of a network.
 * @throws {FileError} a file is missing, or cannot be read.
 * @throws {FormatError} a file is damaged, of no known format, or has nothing in common with the model.
 * @throws {WeightsError} the weights of a file are not those of its network.
 * @throws {UsageError} an option is invalid.
 * @throws {RuntimeUnavailableError} a requested runtime is not available.
 */
export async function verifyModel(source: string, options: VerifyModelOptions): Promise<ModelVerification> {
  const { platform, images = [], tolerance = defaultTolerance, network, architecture, key } = options;
  const opened = await weightsSource(source, platform, { key });
  const model = await openAs(opened, { network, architecture });
  const { reference, inputs } = await referenceOf(model, images, options);
  // With options, the network is not the file's.
  const isOwn = architecture === undefined && Object.keys(network ?? {}).length === 0;
  const hasGraph = model.format === "model file" && inputs.bytes !== undefined;
  const ownGraph = isOwn && hasGraph ? opened.bytes : undefined;

  const { chosen, unavailable } = await chooseRuntimes(platform, options.runtimes);
  const layers = reference.blocks.map(({ layer }) => layer);
  const runtimes: RuntimeVerification[] = [];
  for (const device of chosen) {
    const outputs = await run(model, layers, inputs, platform, { device });
    const whole = ownGraph && (await runFile(ownGraph, model.network, inputs, platform, { device }));
    runtimes.push(judge(device, reference, outputs, model.network, whole, tolerance));
  }
  return {
    model: source,
    network: model.network.name,
    inputShape: inputShapeOf(model.network),
    reference: reference.description,
    images: inputs.names,
    tolerance,
    runtimes,
    unavailable,
    passed: runtimes.every(({ passed }) => passed),
  };
}

async function referenceOf(
  model: OpenedModel,
  images: readonly string[],
  { platform, reference: path }: VerifyModelOptions,
): Promise<{ reference: Reference; inputs: VerifyImages }> {
  const { network, preprocessing } = model;
  const golden = path === undefined ? undefined : await readGolden(path, platform);
  if (golden) {
    if (images.length > 0) {
      throw new UsageError({
        where: "verify option images",
        what: "a golden file's values are of the synthetic images alone",
        remedy: "Leave the images out, or take another file of the model as the reference.",
      });
    }
    return {
      reference: goldenReference(network, golden, path!),
      inputs: syntheticBatch(network, goldenBatch(golden)),
    };
  }
  const inputs = await verifyImages(network, preprocessing, images, platform);
  const other = path === undefined ? model : await openReference(path, network, platform);
  const layers = comparedBlocks(network).flatMap(({ layer }) =>
    other.network.layers.filter(({ name }) => name === layer),
  );
  const names = layers.map(({ name }) => name);
  const values = await run(other, names, inputs, platform, { device: "cpu", optimize: false });
  const output = values[other.network.output] as FloatTensor;
  const whose = path === undefined ? "the model itself" : `${path} (${other.format})`;
  const description = `${whose} on the CPU, operator by operator, nothing folded or fused`;
  return { reference: valuesReference(network, values, output, description, `reference "${path}"`), inputs };
}

/** JSON that is not a TensorFlow.js model is a golden file. */
async function readGolden(path: string, platform: Platform) {
  const bytes = await readSource(path, platform);
  if (bytes.find((byte) => byte > 0x20) !== "{".charCodeAt(0)) return undefined;
  const text = new TextDecoder().decode(bytes);
  return /"(modelTopology|weightsManifest)"\s*:/.test(text) ? undefined : parseGolden(text, path);
}

/** A file with only weights is loaded into the model's network. */
async function openReference(path: string, network: Network, platform: Platform) {
  const source = await weightsSource(path, platform);
  const file = await openWeightsFile(source);
  if (file.describedNetwork !== undefined) return modelFrom(file, source.where, inputShapeOf(network));
  return { network, ...(await loadWeights(network, path, platform)) };
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

/** Outputs of a model file's own graph for the bytes of images. */
async function runFile(
  bytes: Uint8Array,
  network: Network,
  images: VerifyImages,
  platform: Platform,
  settings: SessionOptions,
): Promise<FloatTensor> {
  const session = await platform.engine.createSession(bytes, settings);
  const results = await session.run({ [imageInput]: images.bytes! }).finally(() => session.dispose());
  return results[network.output] as FloatTensor;
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
  network: Network,
  whole: FloatTensor | undefined,
  tolerance: VerifyTolerance,
): RuntimeVerification {
  const { blocks: differences, probabilities }: Differences = reference.compare(outputs);
  // Comparisons with NaN are false, and a NaN must not pass.
  const blocks = reference.blocks.map(({ name, layer }, index) => {
    const difference = differences[index]!;
    return { block: name, layer, difference, passed: difference <= tolerance.taps };
  });
  const judged = (difference: number) => ({ difference, passed: difference <= tolerance.probabilities });
  const file = whole && reference.compare({ ...outputs, [network.output]: whole }).probabilities;
  const verdicts = {
    ...(probabilities !== undefined && { probabilities: judged(probabilities) }),
    ...(file !== undefined && { file: judged(file) }),
  };
  const passed = [...blocks, ...Object.values(verdicts)].every((each) => each.passed);
  return { runtime, blocks, ...verdicts, passed };
}
