import { FormatError, UsageError, WeightsError } from "../base/errors.ts";
import type { Source, SourceReader } from "../base/platform.ts";
import type { DescribedNetwork } from "../formats/format.ts";
import { type MappingReport, mapWeights } from "../formats/map-weights.ts";
import { inputShapeOf, type Network, networkWeights, outputLayer } from "../graph/network.ts";
import type { Preprocessing } from "../graph/preprocessing.ts";
import type { Weights } from "../graph/weights.ts";
import { sameLayers } from "../models/layer-list.ts";
import {
  type Architecture,
  type ArchitectureName,
  architectureNamed,
  architectureOf,
  buildNetwork,
  defaultName,
  familyNamed,
  type NetworkOptions,
  nameOfArchitecture,
  optionsOf,
  portDifferences,
  recognizeArchitecture,
  withOptions,
} from "../models/registry.ts";
import type { Shape } from "../tensor/shape.ts";
import { openWeightsFile, type WeightsFile } from "./formats.ts";
import { defaultPreprocessing } from "./model.ts";
import { type ModelDescription, networkOf } from "./model-file.ts";
import { updateArchitecture } from "./update-architecture.ts";
import { type WeightsSource, type WeightsSourceOptions, weightsSource } from "./weights-file.ts";

/** Weights of a file, loaded into a network. */
export interface LoadedWeights {
  readonly weights: Weights;
  readonly report: MappingReport;
  /** The exact format of the file, in a word or two: `h5 weights`. */
  readonly format: string;
  /** Remarks for the user, in sentences. */
  readonly notes: readonly string[];
}

/** A network with its weights from a file, and the file's model description. */
export interface OpenedModel extends LoadedWeights, ModelDescription {
  readonly network: Network;
}

/** Options of {@link Verbs.loadWeights}. */
export interface LoadWeightsOptions {
  /**
   * Pattern of weights that may be missing, unexpected or of another shape: `predictions/*` loads all but the classifier.
   * Missing weights are initialized from the network's seed. Default: none.
   */
  readonly allowMissing?: string | undefined;
  /** Key of the weights in a PyTorch checkpoint, names separated by `/`; default: a usual one, or the only one. */
  readonly key?: string | undefined;
}

/** Options of {@link Verbs.openModel}. */
export interface OpenModelOptions extends Pick<LoadWeightsOptions, "key"> {
  /** Shape of the images, if the file leaves it open. */
  readonly inputShape?: Shape | undefined;
}

/**
 * Loads weights into a network from a file of any known format; it may also hold a whole model.
 * @throws {FileError} the file does not exist, or cannot be read.
 * @throws {FormatError} it is in no known format, or damaged.
 * @throws {WeightsError} the weights are not those of the network.
 */
export async function loadWeights(
  network: Network,
  source: Source,
  platform: SourceReader,
  options: LoadWeightsOptions = {},
): Promise<LoadedWeights> {
  const { file, where } = await opened(source, platform, { architecture: network, key: options.key });
  return weightsFor(network, file, { where, ...options });
}

/**
 * Opens a whole model of any kind from a file of any known format.
 * @throws {FileError} the file does not exist, or cannot be read.
 * @throws {FormatError} it is in no known format, damaged, holds only weights, or its network has an unsupported layer.
 * @throws {WeightsError} its weights are not those of its network.
 */
export async function openModel(
  source: Source,
  platform: SourceReader,
  options: OpenModelOptions = {},
): Promise<OpenedModel> {
  const { file, where } = await opened(source, platform, { key: options.key });
  return modelFrom(file, where, options.inputShape);
}

/** A separate function, so that nothing references the file's bytes while its weights are transposed. */
async function opened(source: Source, platform: SourceReader, options: WeightsSourceOptions) {
  const found = await weightsSource(source, platform, options);
  return { file: await openWeightsFile(found), where: found.where };
}

/** As {@link loadWeights}, from an open file. */
export function weightsFor(
  network: Network,
  file: WeightsFile,
  options: LoadWeightsOptions & { readonly where: string },
): LoadedWeights {
  const { layers, constants, notes = [] } = file.layers(network);
  const mapped = mapWeights(network, layers, { ...options, constants });
  return { ...mapped, format: file.format, notes: [...(file.notes ?? []), ...notes] };
}

/** As {@link openModel}, from an open file. */
export function modelFrom(
  file: WeightsFile,
  where: string,
  inputShape?: Shape,
  { allowMissing }: LoadWeightsOptions = {},
): OpenedModel {
  if (file.describedNetwork === undefined) {
    throw new FormatError({
      where,
      what: "the file holds only weights, without their network",
      received: file.format,
      expected: "a whole model",
      remedy: "Name the network: convert has flags for it; in code, use loadWeights.",
    });
  }
  const { network: described, architecture: named, rescaling } = file.describedNetwork(inputShape);
  const loaded = weightsFor(described, file, { where, allowMissing });
  const architecture = named ?? architectureFor(described, file, where);
  const network = buildNetwork(architecture);
  const weights = underNamesOf(network, described, loaded.weights);
  const rescaled = rescaledPixels(rescaling);
  const notes = [...loaded.notes, ...rescaled.notes];
  return { ...rescaled.description, ...file.metadata, ...loaded, notes, architecture, network, weights };
}

/** Moves a rescaling of pixels that is a layer of the file's network into the preprocessing. */
function rescaledPixels(rescaling: Preprocessing | undefined) {
  if (rescaling === undefined) return { description: {}, notes: [] };
  const { scale, offset } = rescaling;
  const note = `Its rescaling of pixels, pixel · ${scale} + ${offset}, is part of the preprocessing here, not a layer.`;
  return { description: { preprocessing: { ...defaultPreprocessing, ...rescaling } }, notes: [note] };
}

/** The architecture that the file names, if its network matches; else a family that does; else the list of layers. */
function architectureFor(network: Network, { metadata }: WeightsFile, where: string): Architecture {
  const named = metadata?.architecture;
  if (named !== undefined && sameLayers(network, networkOf(named, where))) return named;
  return recognizeArchitecture(network) ?? architectureOf(network);
}

/** Renames weights for a network with the same layers under other names. */
function underNamesOf(network: Network, original: Network, weights: Weights): Weights {
  const names = networkWeights(network);
  return new Map(networkWeights(original).map(({ name }, index) => [names[index]!.name, weights.get(name)!]));
}

/** The network to load a file's weights into. */
export interface OpenAsOptions {
  /**
   * Options of the network; the others are as in the file, else the default. Without any options, the file keeps its own
   * network, and files of weights alone are loaded into the default network.
   */
  readonly network?: NetworkOptions | undefined;
  /** Name of the network; default: the one in the file, else `xception`. */
  readonly architecture?: ArchitectureName | undefined;
  /** As in `loadWeights`; an error if the file's own network has all its weights. */
  readonly allowMissing?: string | undefined;
  /** As in `loadWeights`. */
  readonly key?: string | undefined;
}

/**
 * Opens a model from a file of any known format: with the network in the file, or its weights in another one.
 * @throws {FormatError} it is in no known format, damaged, or its network has an unsupported layer.
 * @throws {WeightsError} its weights are not those of the network.
 * @throws {UsageError} an option of the network is invalid, or weights may be missing but none are.
 */
export async function openAs(
  source: WeightsSource,
  { network: given = {}, architecture: name, allowMissing }: OpenAsOptions = {},
): Promise<OpenedModel> {
  const { where } = source;
  const file = await openWeightsFile(source);
  const names = Object.keys(given);
  const whole = file.describedNetwork !== undefined;
  const own = whole ? ownArchitecture(file) : undefined;
  const onlyShape = names.length === 1 && given.inputShape !== undefined;
  if (whole && name === undefined && (names.length === 0 || (onlyShape && own === undefined))) {
    const opened = modelFrom(file, where, given.inputShape, { allowMissing });
    const { missing, unexpected, wrongShape } = opened.report;
    if (allowMissing === undefined || missing.length + unexpected.length + wrongShape.length > 0) return opened;
    throw new UsageError({
      where,
      what: "the file's own network has all its weights",
      received: allowMissing,
      remedy: "Leave the option out, or name another network with its options.",
    });
  }
  const ownName = own && nameOfArchitecture(own);
  const wanted = name ?? ownName ?? defaultName;
  const architecture = architectureNamed(wanted, { ...(own && optionsFor(wanted, own)), ...given });
  const { architecture: _, ...description } = file.metadata ?? {};
  const storedChannels = own ? inputShapeOf(buildNetwork(own))[2]! : 3;
  const { network, ...loaded } = weightsInto(architecture, file, { where, allowMissing, storedChannels });
  const rescaled = rescaledPixels(whole ? understood(file)?.rescaling : undefined);
  const notes = [...loaded.notes, ...rescaled.notes, ...changedNumbers(own, architecture)];
  return { ...rescaled.description, ...description, architecture, network, ...loaded, notes };
}

/** Loads weights into the network of an architecture; those for another number of input channels are adapted. */
function weightsInto(
  architecture: Architecture,
  file: WeightsFile,
  { storedChannels, ...options }: LoadWeightsOptions & { readonly where: string; readonly storedChannels: number },
): LoadedWeights & { readonly network: Network } {
  const network = buildNetwork(architecture);
  const [height, width, channels] = inputShapeOf(network) as [number, number, number];
  try {
    return { network, ...weightsFor(network, file, options) };
  } catch (error) {
    if (!(error instanceof WeightsError) || channels === storedChannels) throw error;
    const before = withOptions(architecture, { inputShape: [height, width, storedChannels] });
    let loaded: LoadedWeights;
    try {
      loaded = weightsFor(buildNetwork(before), file, options);
    } catch {
      throw error;
    }
    const stored = { architecture: before, weights: loaded.weights };
    const { weights } = updateArchitecture(stored, { inputShape: [height, width, channels] });
    const note = `Its first convolution read ${storedChannels} channels and was adapted to ${channels} as timm does.`;
    return { network, ...loaded, weights, notes: [...loaded.notes, note] };
  }
}

/** The architecture of the network in a file, if it is one of our families. */
export function ownArchitecture(file: WeightsFile): Architecture | undefined {
  const { architecture } = file.metadata ?? {};
  if (architecture && architecture.family !== "layers") return architecture;
  const described = understood(file);
  return described && (described.architecture ?? recognizeArchitecture(described.network));
}

function understood({ describedNetwork }: WeightsFile): DescribedNetwork | undefined {
  try {
    return describedNetwork!();
  } catch (cause) {
    // Its image size may be open, for instance.
    if (cause instanceof FormatError) return undefined;
    throw cause;
  }
}

/** The options of a file's network that the one called `name` shares, except those that either name implies. */
function optionsFor(name: ArchitectureName, own: Architecture): NetworkOptions {
  const { family, options } = familyNamed(name);
  if (family !== own.family) return {};
  const isSame = name === nameOfArchitecture(own);
  const kept = Object.entries(optionsOf(own)).filter(([option]) => {
    const scope = options.table[option]?.scope;
    return scope !== "name" && (isSame || scope !== "port");
  });
  return Object.fromEntries(kept);
}

/** Keras and timm use different constants with the same weights. */
function changedNumbers(own: Architecture | undefined, now: Architecture): string[] {
  const differences = own ? portDifferences(own, now) : [];
  if (differences.length === 0) return [];
  const texts = differences.map(({ option, values: [before, after] }) => `${option} ${before}, this one ${after}`);
  return [`The file's network has ${texts.join("; ")}: predictions will differ slightly.`];
}

/** Adds an activation to a classifier that ends in logits: softmax, or sigmoid for a single one. */
export function withProbabilities(opened: OpenedModel): OpenedModel {
  const { architecture, network } = opened;
  const { name, config, outputShape } = outputLayer(network);
  const isLinear = (config.type === "Dense" || config.type === "Activation") && config.activation === "linear";
  if (!isLinear || outputShape.length !== 1) return opened;
  const activation: "sigmoid" | "softmax" = outputShape[0] === 1 ? "sigmoid" : "softmax";
  const layers = network.layers.map((layer) =>
    layer.name === name ? { ...layer, config: { ...config, activation } } : layer,
  );
  const ending: Architecture =
    architecture.family === "layers"
      ? architectureOf({ ...network, layers })
      : withOptions(architecture, { classifierActivation: activation });
  const note = `It ends in logits, "${name}"; a ${activation} was added.`;
  return { ...opened, architecture: ending, network: buildNetwork(ending), notes: [...opened.notes, note] };
}
