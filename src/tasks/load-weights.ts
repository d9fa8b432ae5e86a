import { FormatError } from "../errors.ts";
import type { Network } from "../graph/network.ts";
import type { Platform } from "../platform.ts";
import type { Shape } from "../tensor/shape.ts";
import { readKerasFile } from "../weights/keras-file.ts";
import { networkFromKeras } from "../weights/keras-network.ts";
import { type MappedWeights, mapWeights } from "../weights/map-weights.ts";
import type { KerasFile } from "../weights/stored-layers.ts";

/** A network that a file describes, with the file's weights. */
export interface LoadedNetwork extends MappedWeights {
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
 * Reads a whole model of Keras, `.keras` or `.h5`: any network of layers that we know.
 * @param source its path, or its bytes.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {FormatError} it is no such file, damaged, or its network has something that we do not know.
 * @throws {WeightsError} its weights are not those of its network.
 */
export async function loadKerasModel(
  source: string | Uint8Array,
  platform: Pick<Platform, "readFile">,
  options: { readonly inputShape?: Shape } = {},
): Promise<LoadedNetwork> {
  const { file, where } = await openKerasFile(source, platform);
  return describedNetwork(file, where, options.inputShape);
}

/**
 * Reads weights of Keras into a network: `.weights.h5`, `.h5`, or those of a `.keras` file.
 * @param source its path, or its bytes.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {FormatError} it is no such file, or damaged.
 * @throws {WeightsError} the weights are not those of the network.
 */
export async function loadKerasWeights(
  network: Network,
  source: string | Uint8Array,
  platform: Pick<Platform, "readFile">,
  options: LoadWeightsOptions = {},
): Promise<MappedWeights> {
  const { file, where } = await openKerasFile(source, platform);
  return mapWeights(network, file.layers, { where, ...options });
}

/**
 * The network of a file that holds a whole model.
 * @throws {FormatError} it holds weights alone, or its network has something that we do not know.
 * @throws {WeightsError} its weights are not those of its network.
 */
export function describedNetwork(file: KerasFile, where: string, inputShape?: Shape): LoadedNetwork {
  if (file.config === undefined) {
    throw new FormatError({
      where,
      what: "the file holds weights, but not their network",
      received: file.format,
      expected: "a whole model",
      remedy: "Say which network they belong to.",
    });
  }
  const { network, constants } = networkFromKeras(file.config, { where, inputShape });
  return { network, ...mapWeights(network, file.layers, { where, constants }) };
}

async function openKerasFile(source: string | Uint8Array, platform: Pick<Platform, "readFile">) {
  const bytes = typeof source === "string" ? await platform.readFile(source) : source;
  const where = typeof source === "string" ? `file "${source}"` : `file of ${bytes.length} bytes`;
  return { file: await readKerasFile(bytes, where), where };
}
