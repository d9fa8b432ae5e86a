import { FormatError, UsageError, WeightsError } from "../../errors.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
import {
  type Architecture,
  type ArchitectureName,
  architectureNamed,
  buildNetwork,
  defaultName,
  familyNamed,
  type NetworkOptions,
  nameOfArchitecture,
  optionsOf,
  portDifferences,
  recognizeArchitecture,
  withOptions,
} from "../../models/registry.ts";
import { updateArchitecture } from "../model/update-architecture.ts";
import {
  type LoadedWeights,
  type LoadWeightsOptions,
  modelFrom,
  type OpenedModel,
  preparing,
  weightsFor,
} from "./open-weights.ts";
import type { DescribedNetwork, WeightsFile, WeightsSource } from "./weights-file.ts";
import { openWeightsFile } from "./weights-formats.ts";

/** Which network the weights of a file are for. */
export interface OpenAsOptions {
  /**
   * Of the network to put the weights into; what is left out is as the file says, else the default. Without any, the file
   * keeps its own network, and weights alone are taken for the default network's.
   */
  readonly network?: NetworkOptions | undefined;
  /** Which network that is; default: the one in the file, else `xception`. */
  readonly architecture?: ArchitectureName | undefined;
  /** As in `loadWeights`; refused where the file's own network has all its weights. */
  readonly allowMissing?: string | undefined;
}

/**
 * Reads a model from a file of any format that we know: with the network in the file, or its weights in another one.
 * @throws {FormatError} it is in none of the formats, damaged, or its network has something that we do not know.
 * @throws {WeightsError} its weights are not those of the network.
 * @throws {UsageError} an option of the network is not allowed, or weights may be missing that are all there.
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
      what: "the file's own network has all its weights, so that none may be missing",
      received: allowMissing,
      remedy: "Say with options of the network which other one they are for.",
    });
  }
  const ownName = own && nameOfArchitecture(own);
  const wanted = name ?? ownName ?? defaultName;
  const architecture = architectureNamed(wanted, { ...(own && optionsFor(wanted, own)), ...given });
  const { architecture: _, ...said } = file.metadata ?? {};
  const storedChannels = own ? inputShapeOf(buildNetwork(own))[2]! : 3;
  const { network, ...loaded } = weightsInto(architecture, file, { where, allowMissing, storedChannels });
  const prepared = preparing(whole ? understood(file)?.rescaling : undefined);
  const notes = [...loaded.notes, ...prepared.notes, ...changedNumbers(own, architecture)];
  return { ...prepared.said, ...said, architecture, network, ...loaded, notes };
}

/** The weights in the network of an architecture; those for images of another number of channels are adapted. */
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
    const loaded = weightsOrUndefined(buildNetwork(before), file, options);
    if (loaded === undefined) throw error;
    const { weights } = updateArchitecture(
      { architecture: before, weights: loaded.weights },
      { inputShape: [height, width, channels] },
    );
    const note = `Its first convolution read ${storedChannels} channels and was adapted to ${channels} as timm does.`;
    return { network, ...loaded, weights, notes: [...loaded.notes, note] };
  }
}

function weightsOrUndefined(...given: Parameters<typeof weightsFor>): LoadedWeights | undefined {
  try {
    return weightsFor(...given);
  } catch (error) {
    if (error instanceof WeightsError) return undefined;
    throw error;
  }
}

/** The network in a file, if it is one of ours. */
export function ownArchitecture(file: WeightsFile): Architecture | undefined {
  const { metadata } = file;
  if (metadata && metadata.architecture.family !== "layers") return metadata.architecture;
  const described = understood(file);
  return described && recognizeArchitecture(described.network);
}

function understood({ describedNetwork }: WeightsFile): DescribedNetwork | undefined {
  try {
    return describedNetwork!();
  } catch (cause) {
    // The size of its images is open, for instance.
    if (cause instanceof FormatError) return undefined;
    throw cause;
  }
}

/** The options of a file's network that one called `name` has too, but for those that either name stands for. */
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

/** Keras and timm compute with other numbers beside the same weights. */
function changedNumbers(own: Architecture | undefined, now: Architecture): string[] {
  const differences = own ? portDifferences(own, now) : [];
  if (differences.length === 0) return [];
  const texts = differences.map(({ option, values: [before, after] }) => `${option} ${before}, this one ${after}`);
  return [`The file's network has ${texts.join("; ")}: answers will differ somewhat.`];
}
