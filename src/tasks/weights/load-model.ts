import { readOnnx } from "../../compiler/onnx/reader.ts";
import { UsageError } from "../../errors.ts";
import type { Source, SourceReader } from "../../platform.ts";
import { nameOfSource } from "../../source.ts";
import { metadataKey } from "../../weights/metadata-key.ts";
import type { Model } from "../model/model.ts";
import { classifierProblem, decodeModel, readsBytes } from "../model/model-file.ts";
import { completeModel } from "./complete-model.ts";
import { onnxFormat } from "./format-onnx.ts";
import { type OpenAsOptions, openAs } from "./open-as.ts";
import { withProbabilities } from "./probabilities.ts";
import { type WeightsSource, weightsSource } from "./weights-file.ts";

export interface LoadModelOptions extends OpenAsOptions {
  /** Names of the classes; default: those in the file, else ImageNet's if there are 1000, else their numbers. */
  readonly labels?: readonly string[] | undefined;
}

/** A model from a file, and what had to be taken for granted of it, in sentences. */
export interface LoadedModel extends Model {
  readonly notes: readonly string[];
}

/**
 * Reads a model that tells classes of images apart, from a file of any format that we know.
 * @param source `imagenet` stands for what keras.applications.Xception learned.
 * @param options which network its weights are for, where the file holds weights alone.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {FormatError} it is in none of the formats, or damaged.
 * @throws {WeightsError} its weights are not those of its network.
 * @throws {UsageError} the network does not tell classes of RGB images apart, or an option is not allowed.
 */
export async function loadModel(
  source: Source,
  platform: SourceReader,
  options: LoadModelOptions = {},
): Promise<LoadedModel> {
  const opened = await weightsSource(source, platform);
  if (isModelFile(opened, options)) {
    return { ...decodeModel(opened.bytes, nameOfSource(source)), notes: [] };
  }
  return classifierFrom(opened, options);
}

/** Whether it is one of our model files, to be taken as it is. */
export function isModelFile({ bytes, where }: WeightsSource, options: LoadModelOptions): boolean {
  if (Object.values(options).some((value) => value !== undefined) || !onnxFormat.recognizes(bytes)) return false;
  const content = readOnnx(bytes, where);
  return content.metadata.has(metadataKey) && readsBytes(content);
}

/** @throws as {@link loadModel}. */
export async function classifierFrom(source: WeightsSource, options: LoadModelOptions): Promise<LoadedModel> {
  const { where } = source;
  const opened = withProbabilities(await openAs(source, options));
  const { model, notes } = await completeModel(opened, options.labels);
  const { labels, preprocessing } = model;
  if (labels !== undefined && preprocessing !== undefined) {
    return { ...model, labels, preprocessing, notes: [...opened.notes, ...notes], ...source.origin };
  }
  const { network } = opened;
  throw new UsageError({ where, ...classifierProblem(network, { labels: labels ?? [] })! });
}
