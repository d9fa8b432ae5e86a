import type { ImageLimits, ImageSource, Source } from "./base/platform.ts";
import type { FolderDataset, ImageDataset } from "./data/dataset.ts";
import type { Network } from "./graph/network.ts";
import type { LoadedModel, LoadModelOptions, LoadOptions } from "./model/load-model.ts";
import type { Model, ModelParts } from "./model/model.ts";
import type { LoadedWeights, LoadWeightsOptions, OpenedModel, OpenModelOptions } from "./model/open-weights.ts";
import type { Conversion, ConvertOptions } from "./tasks/convert.ts";
import type { Classifier } from "./tasks/evaluate/classifier.ts";
import type { EvaluateOptions, EvaluationResult } from "./tasks/evaluate/evaluate.ts";
import type { Explainer } from "./tasks/explain/explainer.ts";
import type { Embedded, EmbedOptions, ImageToEmbed, SearchOptions } from "./tasks/features/embed.ts";
import type { Embeddings, Neighbor } from "./tasks/features/embeddings.ts";
import type { FeatureExtractor, LoadExtractorOptions } from "./tasks/features/feature-extractor.ts";
import type { QuantizationImage } from "./tasks/quantize/calibration.ts";
import type { QuantizedModel, QuantizeOptions } from "./tasks/quantize/quantize.ts";
import type { ModelVerification, VerifyModelOptions } from "./tasks/verify/model.ts";
import type { TrainingRequest, TrainingResult } from "./train/request.ts";

/** Options of a verb without `platform`, which is already bound. */
export type Bound<Options> = Omit<Options, "platform">;

/** Options of a verb that reads images. */
export type WithImages<Options> = Bound<Options> & ImageLimits;

/**
 * Everything that can be done with images and models on one platform. A source is a path, a URL string, a `URL`, a
 * `Blob`, an `ArrayBuffer` or a `Uint8Array`; for models also `imagenet`, the weights of keras.applications for the
 * architecture. URLs are downloaded once.
 */
export interface Verbs {
  /**
   * Loads a model from a file of any known format, ready to classify images.
   * @param options `network`, `architecture`: the network, if the file holds only weights; `preprocess`, `interpolation`,
   * `fit`: the preprocessing of images, if the file does not specify it or is wrong; `pixelLimit`: largest number of pixels
   * of an image, default 100 million.
   * @throws {FileError} the file does not exist, or cannot be read.
   * @throws {FormatError} it is in no known format, or damaged.
   * @throws {WeightsError} a weight of its network is missing or has another shape.
   * @throws {UsageError} its network is not a classifier of images, or an option is invalid.
   * @example
   * const classifier = await loadClassifier("run/model.onnx");
   * const [best] = await classifier.classify("cat.jpg");
   * console.log(best?.label, best?.probability);
   * await classifier.dispose();
   */
  loadClassifier(source: Source, options?: WithImages<LoadOptions>): Promise<Classifier>;
  /**
   * Loads weights from a file of any known format, ready to extract features from images.
   * @param source with `imagenet`, the classifier is omitted unless `network.includeTop` asks for it.
   * @throws {FileError} the file does not exist, or cannot be read.
   * @throws {FormatError} it is in no known format, or damaged.
   * @throws {WeightsError} its weights are not those of its network.
   * @throws {UsageError} the network does not read images, or an option is invalid.
   * @example
   * await using extractor = await loadFeatureExtractor("run/model.onnx");
   * const maps = await extractor.features("cat.jpg", { stages: [2, 3, 4, 5] });
   * const [embedding] = await extractor.features("cat.jpg", { pooling: "avg" });
   */
  loadFeatureExtractor(source: Source, options?: WithImages<LoadExtractorOptions>): Promise<FeatureExtractor>;
  /**
   * Computes embeddings of images: the globally pooled feature maps of a layer, one row per image. Unreadable images are
   * skipped and listed.
   * @param source as for {@link Verbs.loadFeatureExtractor}.
   * @throws {DataError} none of the images can be read.
   * @throws {UsageError} the layer does not exist, or an option is invalid.
   * @throws {WeightsError} the layer needs weights that the file lacks.
   * @throws {AbortedError} the signal fired.
   * @example
   * const images = (await readFolder("photos")).samples.map(({ name, image }) => ({ file: name, image }));
   * const embeddings = await embed("run/model.onnx", images);
   * console.log(embeddings.values.shape); // [images, 2048]
   */
  embed(source: Source, images: readonly ImageToEmbed[], options?: WithImages<EmbedOptions>): Promise<Embedded>;
  /**
   * Embeds an image and finds the most similar ones by cosine similarity, most similar first.
   * @param source the model that made the embeddings.
   * @throws {WeightsError} it is another model.
   * @throws {UsageError} the embeddings do not record their origin, as in CSV.
   * @throws {FormatError} the image is damaged, or of no supported format.
   * @example
   * const [best] = await search("run/model.onnx", "cat.jpg", embeddings, { top: 5 });
   * console.log(best?.file, best?.similarity);
   */
  search(
    source: Source,
    image: ImageSource,
    embeddings: Embeddings,
    options?: WithImages<SearchOptions>,
  ): Promise<readonly Neighbor[]>;
  /**
   * Loads a classifier from a file of any known format, ready to explain its predictions.
   * @throws the errors of {@link Verbs.loadClassifier}.
   * @example
   * await using explainer = await loadExplainer("run/model.onnx");
   * const { label, probability, map } = await explainer.explain("cat.jpg", { against: "dog" });
   */
  loadExplainer(source: Source, options?: WithImages<LoadOptions>): Promise<Explainer>;
  /**
   * Reads a classifier from a file of any known format, to inspect it, evaluate it or train it further.
   * @throws the errors of {@link Verbs.loadClassifier}.
   */
  loadModel(source: Source, options?: LoadModelOptions): Promise<LoadedModel>;
  /**
   * Reads a model of any kind, classifier or not, from a file of any known format.
   * @throws {FormatError} the file holds only weights, is damaged, or its network has an unknown layer.
   * @throws {FileError} the file does not exist, or cannot be read.
   */
  openModel(source: Source, options?: OpenModelOptions): Promise<OpenedModel>;
  /**
   * Reads weights into a network, from a file of any known format.
   * @throws {WeightsError} the weights are not those of the network.
   * @throws {FileError} the file does not exist, or cannot be read.
   * @throws {FormatError} it is in no known format, or damaged.
   */
  loadWeights(network: Network, source: Source, options?: LoadWeightsOptions): Promise<LoadedWeights>;
  /**
   * Writes a model file atomically, and beside it its card, `model.onnx.md`, unless there is an edited one.
   * @throws {UsageError} the architecture is not a classifier with as many classes as labels.
   * @throws {WeightsError} the weights are not those of the network.
   * @throws {FileError} the folder is missing or not writable.
   * @example
   * const { weights, labels, preprocessing } = await train(await readFolder("photos"), { network: { family: "xception", options } });
   * await saveModel("model.onnx", {
   *   architecture: { family: "xception", options: { ...options, classes: labels.length } },
   *   weights,
   *   labels,
   *   preprocessing,
   * });
   */
  saveModel(path: string, model: ModelParts): Promise<void>;
  /**
   * Lists the labeled images of a folder with one subfolder per class.
   * @param options `leastClasses`: 1 to evaluate a model on a single one of its classes; default 2.
   * @throws {DataError} the folder is missing or cannot be read, or has no images, a class without images, or only one
   * class.
   */
  readFolder(path: string, options?: { readonly leastClasses?: 1 | 2 }): Promise<FolderDataset>;
  /**
   * Evaluates a model on labeled images. The classes of the data set are matched with the model's labels by name. If the
   * network ends in a softmax, the temperature that would calibrate it is reported as well.
   * @throws {UsageError} a value of `top` is not a whole number from 1 to the number of classes.
   * @throws {DataError} the data set's classes differ from the model's, or it has no usable image.
   * @throws {AbortedError} the signal fired.
   * @example
   * const { evaluation } = await evaluate(await loadModel("model.onnx"), await readFolder("photos/test"));
   */
  evaluate(
    model: Pick<Model, "network" | "weights" | "labels" | "preprocessing" | "quantization">,
    dataset: ImageDataset,
    options?: WithImages<EvaluateOptions>,
  ): Promise<EvaluationResult>;
  /**
   * Trains a network on labeled images; with validation images it evaluates the network after every epoch and keeps the
   * best weights.
   * @throws {UsageError} an option is invalid, or the network does not fit the data set.
   * @throws {DataError} the data set has too few usable images or classes.
   * @throws {WeightsError} the weights to start from are not the network's.
   * @throws {FileError} their file cannot be read or downloaded.
   * @throws {TrainingError} the loss or the weights are NaN or infinite.
   * @example
   * const { weights, history } = await train(await readFolder("photos/train"), {
   *   imageSize: 150,
   *   width: 0.25,
   *   validation: await readFolder("photos/test"),
   * });
   */
  train(dataset: ImageDataset, request?: Bound<TrainingRequest>): Promise<TrainingResult>;
  /**
   * Converts a file of weights to another format.
   * @throws {FormatError} it is in no known format, damaged, or its network has an unknown layer.
   * @throws {WeightsError} its weights are not those of the network.
   * @throws {UsageError} the number of labels differs from the classes, or the target cannot store the model.
   */
  convert(source: Source, options: ConvertOptions): Promise<Conversion>;
  /**
   * Makes a model smaller and faster: int8 weights and activations, except for blocks that cost too much accuracy.
   * @param images some like those that the model will see, to calibrate with and to compare the models on; labeled ones count
   * for the accuracy.
   * @returns the bytes of the model's file, and in `failures` the limits that it does not keep: do not use it then.
   * @throws {UsageError} the model is int8 already, there are no images, or an option is invalid.
   * @throws {DataError} none of the images can be read.
   * @throws {AbortedError} the signal fired.
   * @example
   * const { samples } = await readFolder("photos");
   * const { bytes, failures } = await quantize(await loadModel("run/model.onnx"), samples);
   * if (failures.length === 0) await nodePlatform.files.write("model_int8.onnx", bytes);
   */
  quantize(
    model: Model,
    images: readonly QuantizationImage[],
    options?: WithImages<QuantizeOptions>,
  ): Promise<QuantizedModel>;
  /**
   * Compares a model's outputs, block by block, between the runtimes of this machine and a reference.
   * @throws {FileError} a file is missing, or cannot be read.
   * @throws {FormatError} a file is damaged, of no known format, or has nothing in common with the model.
   * @throws {WeightsError} the weights of a file are not those of its network.
   * @throws {UsageError} an option is invalid.
   * @throws {RuntimeUnavailableError} a requested runtime is not available.
   * @throws {AbortedError} the signal fired.
   */
  verify(source: Source, options?: WithImages<VerifyModelOptions>): Promise<ModelVerification>;
}
