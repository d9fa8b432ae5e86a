/**
 * Everything of the package, with what needs Node: files, images and the engine. Functions that take a platform
 * elsewhere have Node's here.
 */
import { type FolderDataset, folderDataset, type ImageDataset } from "./data/dataset.ts";
import { nodePlatform } from "./runtime/node.ts";
import { addressReader, downloadSettings } from "./runtime/node-addresses.ts";
import { writeFileAtomic } from "./runtime/node-files.ts";
import * as classifier from "./tasks/evaluate/classifier.ts";
import * as evaluation from "./tasks/evaluate/evaluate.ts";
import * as extraction from "./tasks/features/feature-extractor.ts";
import type { Model, ModelParts } from "./tasks/model/model.ts";
import * as modelFile from "./tasks/model/model-file.ts";
import type { TrainingRequest, TrainingResult } from "./tasks/train/request.ts";
import * as training from "./tasks/train/train.ts";
import { imagenetOrigin, weightsNamed } from "./tasks/weights/imagenet-weights.ts";
import * as loading from "./tasks/weights/load-model.ts";

export * from "./index.ts";
export { nodePlatform } from "./runtime/node.ts";
export { addressReader, type DownloadSettings, downloadSettings } from "./runtime/node-addresses.ts";
export type { DownloadProgress } from "./runtime/node-download-attempt.ts";
export type { DownloadOptions } from "./runtime/node-downloads.ts";
export { listFolder } from "./runtime/node-folders.ts";
export { decodeImage, encodePng } from "./runtime/node-images.ts";
export { isMpiProcess, joinMpi, type MpiOptions } from "./runtime/node-mpi.ts";

/**
 * Loads a model from a file of any format that we know, by its path, its address or its bytes, ready to classify images.
 * What is read from an address is downloaded once; `imagenet` stands for what keras.applications.Xception learned.
 * @param options `network`, `architecture`: which network its weights are for, where the file holds weights alone.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {FormatError} it is in none of the formats, or damaged.
 * @throws {WeightsError} a weight of its network is missing or has another shape.
 * @throws {UsageError} its network does not tell classes of RGB images apart, or an option is not allowed.
 * @example
 * const classifier = await loadClassifier("run/model.onnx");
 * const [best] = await classifier.classify("cat.jpg");
 * console.log(best?.label, best?.probability);
 * await classifier.dispose();
 */
export function loadClassifier(
  source: string | Uint8Array,
  options: Omit<classifier.LoadOptions, "platform"> = {},
): Promise<classifier.Classifier> {
  const { named, platform } = within(source);
  return classifier.loadClassifier(named, { ...options, platform });
}

/**
 * Loads a file of weights of any format that we know, ready to tell what its network sees in images.
 * @param source its path, address or bytes, or `imagenet`: then without its top, unless `network.includeTop` wants it.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {FormatError} it is in none of the formats, or damaged.
 * @throws {WeightsError} its weights are not those of its network.
 * @throws {UsageError} the network does not read RGB images, or an option is not allowed.
 * @example
 * await using extractor = await loadFeatureExtractor("run/model.onnx");
 * const maps = await extractor.features("cat.jpg", { stages: [2, 3, 4, 5] });
 * const [embedding] = await extractor.features("cat.jpg", { pooling: "avg" });
 */
export function loadFeatureExtractor(
  source: string | Uint8Array,
  options: Omit<extraction.LoadExtractorOptions, "platform"> = {},
): Promise<extraction.FeatureExtractor> {
  const { includeTop = source !== "imagenet" } = options.network ?? {};
  const { named, platform } = within(source, includeTop);
  const network = source === "imagenet" ? { ...options.network, includeTop } : options.network;
  return extraction.loadFeatureExtractor(named, { ...options, network, platform });
}

/**
 * Reads a model from a file of any format that we know, by its path, address or bytes, or `imagenet`, to look at it, evaluate it or train it
 * further.
 * @throws as {@link loadClassifier}.
 */
export async function loadModel(
  source: string | Uint8Array,
  options?: loading.LoadModelOptions,
): Promise<loading.LoadedModel> {
  const { named, platform } = within(source);
  const model = await loading.loadModel(named, platform, options);
  return source === "imagenet" ? { ...model, ...imagenetOrigin } : model;
}

/** Where a model is, and what reads it: a path, an address, or what Keras's Xception learned from ImageNet. */
function within(source: string | Uint8Array, includeTop = true) {
  const { mirror, ...downloads } = downloadSettings(process.env);
  const platform = { ...nodePlatform, files: { ...nodePlatform.files, read: addressReader(downloads) } };
  return { named: weightsNamed(source, { includeTop, mirror }), platform };
}

/**
 * Writes a model file: whole, or not at all.
 * @throws {UsageError} the architecture is no classifier with as many classes as there are labels.
 * @throws {WeightsError} the weights are not those of the network.
 * @throws {FileError} the folder is missing or not writable.
 * @example
 * const architecture = { family: "xception", options };
 * const { weights, labels, preprocessing } = await train(await readFolder("photos"), { network: architecture });
 * await saveModel("model.onnx", {
 *   architecture: { family: "xception", options: { ...options, classes: labels.length } },
 *   weights,
 *   labels,
 *   preprocessing,
 * });
 */
export function saveModel(path: string, model: ModelParts): Promise<void> {
  return writeFileAtomic(path, modelFile.encodeModel(model));
}

/**
 * The labeled images of a folder with one sub-folder for each class.
 * @throws {DataError} the folder is missing or cannot be read; there are no images, a class without one, or one class.
 */
export async function readFolder(path: string): Promise<FolderDataset> {
  return folderDataset(await nodePlatform.files.list(path));
}

/**
 * Tests a model on labeled images. The classes of the data set are matched with the model's labels by name.
 * @throws {DataError} the data set has other classes than the model, or no usable image.
 * @throws {TrainingError} the network's answers are not finite numbers.
 * @throws {AbortedError} the signal fired.
 * @example
 * const { evaluation } = await evaluate(await loadModel("model.onnx"), await readFolder("photos/test"));
 */
export function evaluate(
  model: Pick<Model, "network" | "weights" | "labels" | "preprocessing">,
  dataset: ImageDataset,
  options: Omit<evaluation.EvaluateOptions, "platform"> = {},
): Promise<evaluation.EvaluationResult> {
  return evaluation.evaluate(model, dataset, { ...options, platform: nodePlatform });
}

/**
 * Trains a network on labeled images; with validation images it tests it after every epoch and keeps the best
 * weights. `weights` may name a file or address, or be `imagenet`, which is downloaded once.
 * @throws {UsageError} an option is not allowed, or the network does not fit the data set.
 * @throws {DataError} the data set has too few usable images or classes.
 * @throws {WeightsError} the weights to start from are not the network's.
 * @throws {FileError} their file cannot be read, or not be downloaded.
 * @throws {TrainingError} the loss or the weights are no finite numbers any more.
 * @example
 * const { weights, history } = await train(await readFolder("photos/train"), {
 *   imageSize: 150,
 *   width: 0.25,
 *   validation: await readFolder("photos/test"),
 * });
 */
export function train(dataset: ImageDataset, request: Omit<TrainingRequest, "platform"> = {}): Promise<TrainingResult> {
  const { mirror, ...downloads } = downloadSettings(process.env);
  const platform = { ...nodePlatform, files: { ...nodePlatform.files, read: addressReader(downloads) } };
  return training.train(dataset, { imagenet: { mirror }, ...request, platform });
}
