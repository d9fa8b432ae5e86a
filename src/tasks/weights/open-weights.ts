import { FormatError } from "../../errors.ts";
import { type Network, networkWeights } from "../../graph/network.ts";
import type { Preprocessing } from "../../graph/preprocessing.ts";
import { sameLayers } from "../../models/layer-list.ts";
import { type Architecture, architectureOf, buildNetwork, recognizeArchitecture } from "../../models/registry.ts";
import type { Source, SourceReader } from "../../platform.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { Weights } from "../../weights/initialize.ts";
import { type MappedWeights, mapWeights } from "../../weights/map-weights.ts";
import { defaultPreprocessing } from "../model/model.ts";
import { networkOf } from "../model/model-file.ts";
import type { ModelDescription } from "../model/model-metadata.ts";
import { type WeightsFile, weightsSource } from "./weights-file.ts";
import { openWeightsFile } from "./weights-formats.ts";

/** A file's weights in a network. */
export interface LoadedWeights extends MappedWeights {
  /** What exactly the file is, in a word or two: `h5 weights`. */
  readonly format: string;
  /** What a user should know of it, in sentences. */
  readonly notes: readonly string[];
}

/** A file's network with its weights, and whatever else the file says of how to use it. */
export interface OpenedModel extends LoadedWeights, ModelDescription {
  readonly network: Network;
}

export interface LoadWeightsOptions {
  /**
   * Pattern of weights that may be missing, unexpected or of another shape: `predictions/*` takes all but the classifier.
   * Those of the network then start as for training from scratch. Default: none may.
   */
  readonly allowMissing?: string | undefined;
}

/**
 * Reads weights into a network, from a file of any format that we know: one with a whole model will do, too.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {FormatError} it is in none of the formats, or damaged.
 * @throws {WeightsError} the weights are not those of the network.
 */
export async function loadWeights(
  network: Network,
  source: Source,
  platform: SourceReader,
  options: LoadWeightsOptions = {},
): Promise<LoadedWeights> {
  const { file, where } = await opened(source, platform);
  return weightsFor(network, file, { where, ...options });
}

/**
 * Reads a whole model from a file of any format that we know, whatever its network is made of.
 * @param options `inputShape`: of images, where the file leaves it open.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {FormatError} it is in none of the formats, damaged, holds weights alone, or its network has something that we
 * do not know.
 * @throws {WeightsError} its weights are not those of its network.
 */
export async function openModel(
  source: Source,
  platform: SourceReader,
  options: { readonly inputShape?: Shape } = {},
): Promise<OpenedModel> {
  const { file, where } = await opened(source, platform);
  return modelFrom(file, where, options.inputShape);
}

/** In a function of its own, so that nothing holds the file's bytes any more when its weights are brought into our layout. */
async function opened(source: Source, platform: SourceReader) {
  const found = await weightsSource(source, platform);
  return { file: await openWeightsFile(found), where: found.where };
}

/** As {@link loadWeights}, from an open file. */
export function weightsFor(
  network: Network,
  file: WeightsFile,
  options: LoadWeightsOptions & {
    readonly where: string;
    readonly constants?: ReadonlyMap<string, number> | undefined;
  },
): LoadedWeights {
  const { layers, constants = options.constants, notes = [] } = file.layers(network);
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
      what: "the file holds weights, but not their network",
      received: file.format,
      expected: "a whole model",
      remedy: "Say which network they belong to: convert does, with the flags of one; in a program, loadWeights.",
    });
  }
  const { network: described, architecture: told, constants, rescaling } = file.describedNetwork(inputShape);
  const loaded = weightsFor(described, file, { where, constants, allowMissing });
  const architecture = told ?? architectureFor(described, file, where);
  const network = buildNetwork(architecture);
  const weights = underNamesOf(network, described, loaded.weights);
  const prepared = preparing(rescaling);
  const notes = [...loaded.notes, ...prepared.notes];
  return { ...prepared.said, ...file.metadata, ...loaded, notes, architecture, network, weights };
}

/** What becomes of a scaling of pixels that is a layer of the file's network. */
export function preparing(rescaling: Preprocessing | undefined): {
  readonly said: Pick<ModelDescription, "preprocessing">;
  readonly notes: readonly string[];
} {
  if (rescaling === undefined) return { said: {}, notes: [] };
  const { scale, offset } = rescaling;
  return {
    said: { preprocessing: { ...defaultPreprocessing, ...rescaling } },
    notes: [
      `Its scaling of pixels, pixel · ${scale} + ${offset}, is no layer here but a part of how images are prepared.`,
    ],
  };
}

/** What the file says, unless its network is another one; one of our families if it is that; else the layers. */
function architectureFor(network: Network, { metadata }: WeightsFile, where: string): Architecture {
  const said = metadata?.architecture;
  if (said !== undefined && sameLayers(network, networkOf(said, where))) return said;
  return recognizeArchitecture(network) ?? architectureOf(network);
}

/** Weights of a network with the same layers under other names. */
function underNamesOf(network: Network, original: Network, weights: Weights): Weights {
  const names = networkWeights(network);
  return new Map(networkWeights(original).map(({ name }, index) => [names[index]!.name, weights.get(name)!]));
}
