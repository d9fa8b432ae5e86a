import type { OnnxOptions } from "../../compiler/onnx/onnx.ts";
import type { Network } from "../../graph/network.ts";
import type { Weights } from "../../weights/initialize.ts";
import type { FileGroup } from "../../weights/tfjs/writer.ts";
import type { ModelDescription } from "../model/model-metadata.ts";

/** A model on its way into a file. */
export interface ModelToWrite extends ModelDescription {
  readonly network: Network;
  readonly weights: Weights;
}

export interface WriteOptions {
  /** Goes into files that have a place for it. */
  readonly savedAt: Date;
  /** How numbers are stored. */
  readonly storedAs: NonNullable<OnnxOptions["storedAs"]>;
}

export interface Written extends FileGroup {
  /** What exactly was written, in a word or two. */
  readonly format: string;
  /** What a user should know of it, in sentences. */
  readonly notes: readonly string[];
}

/** A kind of file to write a model to. */
export interface WeightsTarget {
  /** With its usual extension, for messages. */
  readonly title: string;
  /** The end of file names that mean it. */
  readonly extension: string;
  /** Whether it can store float16. */
  readonly half: boolean;
  readonly write: (model: ModelToWrite, options: WriteOptions) => Promise<Written>;
}
