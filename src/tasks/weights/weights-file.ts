import { FormatError, UsageError } from "../../errors.ts";
import type { Network } from "../../graph/network.ts";
import type { Preprocessing } from "../../graph/preprocessing.ts";
import type { Architecture } from "../../models/registry.ts";
import type { Engine, Source, SourceReader } from "../../platform.ts";
import type { GraphFacts, WeightFacts } from "../../report/summary.ts";
import { nameOfSource, readSource } from "../../source.ts";
import type { Shape } from "../../tensor/shape.ts";
import { kerasFileModule } from "../../weights/keras/file.ts";
import type { StoredLayer } from "../../weights/map-weights.ts";
import type { ModelDescription } from "../model/model-metadata.ts";
import { imagenetOrigin, imagenetWeightsAddress } from "./imagenet-weights.ts";

/** A file of weights before it is opened. */
export interface WeightsSource {
  /** What errors call it, e.g. `file "model.h5"`. */
  readonly where: string;
  readonly bytes: Uint8Array;
  /** Whether nobody else needs the bytes: they may then be gone when the file has been opened. Default false. */
  readonly isDisposable?: boolean;
  /** Reads a file that this one names as its part: a shard of TensorFlow.js. */
  readonly readBeside: (name: string) => Promise<Uint8Array>;
  /** License of the weights and where they come from, where that is known beforehand. */
  readonly origin?: Pick<ModelDescription, "license" | "provenance">;
  /** The platform's, for libraries that a damaged file can confuse. */
  readonly isolate?: SourceReader["isolate"];
}

/** A kind of file that weights come in; `weights-formats.ts` lists them. */
export interface WeightsFormat {
  /** With its usual extensions, for messages: `ONNX (.onnx)`. */
  readonly title: string;
  /** Whether bytes look like it, as far as their beginning tells. */
  readonly recognizes: (bytes: Uint8Array) => boolean;
  /** @throws {FormatError} it is damaged, or holds something else. */
  readonly open: (source: WeightsSource) => Promise<WeightsFile>;
}

/** An open file of weights: what can be taken from it. */
export interface WeightsFile {
  /** What exactly it is, in a word or two: `h5 weights`. */
  readonly format: string;
  /**
   * The weights, layer by layer, in Keras's layout and the order of the file, under names that need not be the network's.
   * @param network for which they are; formats that do not tell layers apart by themselves go by it.
   */
  readonly layers: (network: Network) => FoundLayers;
  /**
   * Builds the network that the file describes; absent if it holds weights alone.
   * @param inputShape of images, where the file leaves it open.
   */
  readonly describedNetwork?: (inputShape?: Shape) => DescribedNetwork;
  /** What else the file says, if we wrote it: architecture, labels, preprocessing, license, provenance. */
  readonly metadata?: ModelDescription;
  /**
   * What a graph of another tool computes, which says nothing of layers.
   * @param platform whose engine finds the shapes of its results.
   * @param inputShape of images, where the file leaves it open.
   */
  readonly graph?: (engine: Engine, inputShape?: Shape) => Promise<GraphFacts>;
  /** The weights under the names that the file has for them, in its order; formats that have no such names lack it. */
  readonly stored?: () => readonly WeightFacts[];
  /** What a user should know of it, in sentences. */
  readonly notes?: readonly string[];
}

/** The layers of a file that have weights. */
export interface FoundLayers {
  readonly layers: readonly StoredLayer[];
  /** As those of a described network. */
  readonly constants?: ReadonlyMap<string, number>;
  /** What a user should know of them, in sentences. */
  readonly notes?: readonly string[];
}

/** A network as a file describes it. */
export interface DescribedNetwork {
  readonly network: Network;
  /** That of the network, where the file tells which one it is. */
  readonly architecture?: Architecture;
  /** Weights that are not in the file because they never change, with their value: `bn/gamma` of a normalization without scale. */
  readonly constants?: ReadonlyMap<string, number>;
  /** What the file's network makes of pixels before the network here begins. */
  readonly rescaling?: Preprocessing;
}

/**
 * Reads a file of weights, to be opened once.
 * @param source `imagenet` stands for what keras.applications.Xception learned, of which `includeTop` says whether its
 * classifier is wanted; default true.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {UsageError} it is no source.
 */
export async function weightsSource(
  source: Source,
  reader: SourceReader,
  { includeTop = true }: { readonly includeTop?: boolean } = {},
): Promise<WeightsSource> {
  if (source === "imagenet") {
    const address = imagenetWeightsAddress(includeTop, reader.downloads?.mirror);
    return { ...(await weightsSource(address, reader)), origin: imagenetOrigin };
  }
  const { isolate } = reader;
  const name = nameOfSource(source);
  // Beside reading the bytes. What the file is shows in its content all the same.
  if (/\.(h5|hdf5|keras)(#|$)/i.test(name ?? "")) isolate?.prepare?.(kerasFileModule);
  const bytes = await readSource(source, reader);
  const where = name === undefined ? `file of ${bytes.length} bytes` : `file "${name}"`;
  const readBeside = async (part: string): Promise<Uint8Array> => {
    assertInside(part, where);
    if (name === undefined || source instanceof Blob) throw withoutFolder(where, part);
    return readSource(`${name.slice(0, Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1)}${part}`, reader);
  };
  const isDisposable = !(source instanceof Uint8Array || source instanceof ArrayBuffer);
  return { where, bytes, isDisposable, readBeside, ...(isolate && { isolate }) };
}

/** A file may name its parts, but not reach for others: `../../secret`, `/etc/passwd`, `https:`, `C:`. */
function assertInside(name: string, where: string): void {
  const parts = name.split("/");
  if (!/[\\:\0]/.test(name) && parts.every((part) => part !== "" && part !== "." && part !== "..")) return;
  throw new FormatError({
    where,
    what: "it names a file that is not beside it",
    received: name,
    expected: "a name relative to its own folder",
  });
}

function withoutFolder(where: string, name: string): UsageError {
  return new UsageError({
    where,
    what: `its weights are in other files, and bytes do not tell where those are`,
    received: name,
    remedy: "Open it by its path.",
  });
}
