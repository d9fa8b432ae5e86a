import type { SourceReader } from "../base/platform.ts";
import type { OnnxContent } from "../compiler/onnx/reader.ts";
import type { Network } from "../graph/network.ts";
import type { ImageResize, Preprocessing } from "../graph/preprocessing.ts";
import type { Architecture } from "../models/registry.ts";
import type { GraphFacts } from "../report/summary.ts";
import type { Shape } from "../tensor/shape.ts";
import type { StoredLayer } from "./map-weights.ts";
import type { Signature } from "./signatures.ts";

/** The key of our JSON document in files of other programs: in `metadata_props`, attributes, headers. */
export const metadataKey = "xception-ts";

/** A file to read. */
export interface FileToRead {
  /** Its name in errors, e.g. `file "model.h5"`. */
  readonly where: string;
  readonly bytes: Uint8Array;
  /** True if the bytes may be transferred to another thread, which detaches them here. Default false. */
  readonly isDisposable?: boolean;
  /** Key of the weights in a PyTorch checkpoint, names separated by `/`; default: a usual one, or the only one. */
  readonly key?: string | undefined;
  /** Reads a file that this one refers to: a shard of TensorFlow.js. */
  readonly readBeside: (name: string) => Promise<Uint8Array>;
  /** The platform's sandbox, for libraries that a damaged file can confuse. */
  readonly isolate?: SourceReader["isolate"];
}

/** A file format to read weights from. */
export interface FileFormat extends Signature {
  /** @throws {FormatError} it is damaged, or holds something else. */
  readonly read: (file: FileToRead) => Promise<FileContents>;
}

/** Contents of a file of weights, whatever its format. */
export interface FileContents {
  /** Its exact format, in a word or two: `h5 weights`. */
  readonly format: string;
  /**
   * Returns the weights layer by layer, in Keras's layout and the order of the file; names need not be the network's.
   * @param network to load them into, for formats that do not identify layers by themselves.
   */
  readonly layers: (network: Network) => FoundLayers;
  /**
   * Builds the network that the file describes; absent if it holds only weights.
   * @param inputShape shape of the images, if the file leaves it open.
   */
  readonly describedNetwork?: (inputShape?: Shape) => DescribedNetwork;
  /** Our JSON document, if we wrote the file. */
  readonly metadata?: string | undefined;
  /** Image preprocessing, as far as it differs from the default. */
  readonly preprocessing?: Preprocessing & Partial<ImageResize>;
  /** Remark on this preprocessing if it is assumed, as a sentence. */
  readonly preprocessingNote?: string;
  /** The graph of an ONNX file, and its bytes with the numbers of other files included. */
  readonly onnx?: { readonly bytes: Uint8Array; readonly content: OnnxContent };
  /** Describes a graph that is not ONNX and has no layers. */
  readonly graph?: () => GraphFacts;
  /** Lists the weights under their names in the file, in its order; absent in formats without such names. */
  readonly stored?: () => readonly { readonly name: string; readonly shape: Shape | null }[];
  /** Remarks for the user, in sentences. */
  readonly notes?: readonly string[];
}

/** The layers of a file that have weights. */
export interface FoundLayers {
  readonly layers: readonly StoredLayer[];
  /** Weights that the file omits because they change nothing, with their value. */
  readonly constants?: ReadonlyMap<string, number>;
  /** Remarks for the user, in sentences. */
  readonly notes?: readonly string[];
}

/** A network that a file describes. */
export interface DescribedNetwork {
  readonly network: Network;
  /** Its architecture, if the file names one. */
  readonly architecture?: Architecture;
  /** A rescaling of pixels directly after the input; the network starts after it. */
  readonly rescaling?: Preprocessing;
}

/** A file, and the files next to it that it refers to. */
export interface FileGroup {
  readonly bytes: Uint8Array;
  /** By name. */
  readonly beside: ReadonlyMap<string, Uint8Array>;
}
