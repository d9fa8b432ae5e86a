import { UsageError } from "./base/errors.ts";
import { limitPixels } from "./base/pixel-limit.ts";
import type { FileSystem, ImageLimits, ImageSource, Platform, Source } from "./base/platform.ts";
import type { FolderDataset, ImageDataset } from "./data/dataset.ts";
import type { Network } from "./graph/network.ts";
import type { LoadedModel, LoadModelOptions } from "./model/load-model.ts";
import type { Model, ModelParts } from "./model/model.ts";
import type { LoadedWeights, LoadWeightsOptions, OpenAsOptions, OpenedModel } from "./model/open-weights.ts";
import type { PreprocessingOptions } from "./model/preprocessing.ts";
import type { Conversion, ConvertOptions } from "./tasks/convert.ts";
import type { Classifier, LoadOptions } from "./tasks/evaluate/classifier.ts";
import type { EvaluateOptions, EvaluationResult } from "./tasks/evaluate/evaluate.ts";
import type { Explainer, LoadExplainerOptions } from "./tasks/explain/explainer.ts";
import type { Embedded, EmbedOptions, ImageToEmbed, SearchOptions } from "./tasks/features/embed.ts";
import type { Embeddings, Neighbor } from "./tasks/features/embeddings.ts";
import type { FeatureExtractor, LoadExtractorOptions } from "./tasks/features/feature-extractor.ts";
import type { ModelVerification, VerifyModelOptions } from "./tasks/verify/model.ts";
import type { Shape } from "./tensor/shape.ts";
import type { RequestedSettings, TrainingRequest, TrainingResult } from "./train/request.ts";

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
  loadExplainer(source: Source, options?: WithImages<LoadExplainerOptions>): Promise<Explainer>;
  /**
   * Reads a classifier from a file of any known format, to inspect it, evaluate it or train it further.
   * @throws the errors of {@link Verbs.loadClassifier}.
   */
  loadModel(source: Source, options?: LoadModelOptions): Promise<LoadedModel>;
  /**
   * Reads a model of any kind, classifier or not, from a file of any known format.
   * @param options `inputShape`: shape of the images, if the file leaves it open.
   * @throws {FormatError} the file holds only weights, is damaged, or its network has an unknown layer.
   * @throws {FileError} the file does not exist, or cannot be read.
   */
  openModel(source: Source, options?: { readonly inputShape?: Shape }): Promise<OpenedModel>;
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

/** Options of a verb by name: complete, so that any other one is a mistake. */
type OptionNames<Options> = Readonly<Record<keyof Bound<Options>, true>>;

const weightsOptions: OptionNames<LoadWeightsOptions> = { allowMissing: true, key: true };
const networkOptions: OptionNames<OpenAsOptions & PreprocessingOptions> = {
  ...weightsOptions,
  network: true,
  architecture: true,
  preprocess: true,
  interpolation: true,
  fit: true,
};
const modelOptions: OptionNames<LoadModelOptions> = { ...networkOptions, labels: true };
const extractorOptions: OptionNames<LoadExtractorOptions> = { ...networkOptions, session: true };
const embedOptions: OptionNames<EmbedOptions> = {
  ...extractorOptions,
  layer: true,
  pooling: true,
  batchSize: true,
  signal: true,
  onProgress: true,
};
const searchOptions: OptionNames<SearchOptions> = { session: true, top: true, except: true };
const evaluateOptions: OptionNames<EvaluateOptions> = {
  batchSize: true,
  session: true,
  top: true,
  mapWeights: true,
  signal: true,
  onProgress: true,
};
const convertOptions: OptionNames<ConvertOptions> = {
  ...modelOptions,
  to: true,
  dtype: true,
  strict: true,
  savedAt: true,
};
const { allowMissing: _, ...verifiedOptions } = networkOptions;
const verifyOptions: OptionNames<VerifyModelOptions> = {
  ...verifiedOptions,
  reference: true,
  images: true,
  runtimes: true,
  tolerance: true,
  signal: true,
};

/** Options of a training run besides its settings. */
const requestOptions: OptionNames<Omit<TrainingRequest, keyof RequestedSettings>> = {
  network: true,
  validation: true,
  test: true,
  mapWeights: true,
  preprocessing: true,
  mixing: true,
  trainable: true,
  rateFactor: true,
  device: true,
  threads: true,
  communicator: true,
  healthSteps: true,
  weightsName: true,
  resolved: true,
  start: true,
  signal: true,
  checkpoints: true,
  resume: true,
  onStart: true,
  onProgress: true,
  onEpoch: true,
  onTest: true,
  head: true,
};

/** @throws {UsageError} there is no option of a given name: a typing error must not pass silently. */
function assertKnown<Options extends object>(
  verb: keyof Verbs,
  options: Options | undefined,
  known: Readonly<Record<string, true>>,
): Options | undefined {
  const unknown = Object.keys(options ?? {}).find((name) => !Object.hasOwn(known, name));
  if (unknown === undefined) return options;
  const expected = `one of ${Object.keys(known).join(", ")}`;
  throw new UsageError({ where: `${verb} option "${unknown}"`, what: "there is no such option", expected });
}

/** Binds the verbs to a platform. The code of each is loaded with its first call: in browsers, its size matters. */
export function bind(platform: Platform): Verbs {
  /** Options whose names are known, and the platform with their limit of images. */
  const checked = <Options extends object>(
    verb: keyof Verbs,
    options: (Options & ImageLimits) | undefined,
    known: Readonly<Record<string, true>>,
  ) => {
    const { pixelLimit, ...rest } = assertKnown(verb, options, { ...known, pixelLimit: true }) ?? ({} as never);
    return { ...(rest as unknown as Options), platform: limitPixels(platform, pixelLimit) };
  };
  return {
    loadClassifier: async (source, given) => {
      const options = checked("loadClassifier", given, { ...modelOptions, session: true });
      const { loadClassifier } = await import("./tasks/evaluate/classifier.ts");
      return loadClassifier(source, options);
    },
    loadExplainer: async (source, given) => {
      const options = checked("loadExplainer", given, { ...modelOptions, session: true });
      const { loadExplainer } = await import("./tasks/explain/explainer.ts");
      return loadExplainer(source, options);
    },
    loadFeatureExtractor: async (source, given) => {
      const options = checked("loadFeatureExtractor", given, extractorOptions);
      const { loadFeatureExtractor } = await import("./tasks/features/feature-extractor.ts");
      return loadFeatureExtractor(source, options);
    },
    embed: async (source, images, given) => {
      const options = checked("embed", given, embedOptions);
      const { embed } = await import("./tasks/features/embed.ts");
      return embed(source, images, options);
    },
    search: async (source, image, embeddings, given) => {
      const options = checked("search", given, searchOptions);
      const { search } = await import("./tasks/features/embed.ts");
      return search(source, image, embeddings, options);
    },
    loadModel: async (source, given) => {
      const options = assertKnown("loadModel", given, modelOptions);
      const { loadModel } = await import("./model/load-model.ts");
      return loadModel(source, platform, options);
    },
    openModel: async (source, given) => {
      const options = assertKnown("openModel", given, { inputShape: true, key: true });
      const { openModel } = await import("./model/open-weights.ts");
      return openModel(source, platform, options);
    },
    loadWeights: async (network, source, given) => {
      const options = assertKnown("loadWeights", given, weightsOptions);
      const { loadWeights } = await import("./model/open-weights.ts");
      return loadWeights(network, source, platform, options);
    },
    saveModel: async (path, model) => {
      const files = filesOf(platform);
      const [{ encodeModel }, { modelFileCard }, { writeCard }] = await Promise.all([
        import("./model/model-file.ts"),
        import("./tasks/card/card.ts"),
        import("./tasks/card/card-file.ts"),
      ]);
      const bytes = encodeModel(model);
      await files.write(path, bytes);
      await writeCard(path, await modelFileCard(path.replace(/^.*[/\\]/, ""), bytes, model), files);
    },
    readFolder: async (path, given) => {
      const options = assertKnown("readFolder", given, { leastClasses: true });
      const files = filesOf(platform);
      const { folderDataset } = await import("./data/dataset.ts");
      return folderDataset(await files.list(path), options);
    },
    evaluate: async (model, dataset, given) => {
      const options = checked("evaluate", given, evaluateOptions);
      const { evaluate } = await import("./tasks/evaluate/evaluate.ts");
      return evaluate(model, dataset, options);
    },
    train: async (dataset, request) => {
      const [{ requestedSettings }, { train }] = await Promise.all([
        import("./train/request.ts"),
        import("./train/train.ts"),
      ]);
      const settings = Object.fromEntries(requestedSettings.map((name) => [name, true] as const));
      return train(dataset, { ...assertKnown("train", request, { ...settings, ...requestOptions }), platform });
    },
    convert: async (source, options) => {
      assertKnown("convert", options, convertOptions);
      const [{ weightsSource }, { convert }] = await Promise.all([
        import("./model/weights-file.ts"),
        import("./tasks/convert.ts"),
      ]);
      return convert(await weightsSource(source, platform, options), options);
    },
    verify: async (source, given) => {
      const options = checked("verify", given, verifyOptions);
      const { verifyModel } = await import("./tasks/verify/model.ts");
      return verifyModel(source, options);
    },
  };
}

function filesOf({ name, files }: Platform): FileSystem {
  if (files) return files;
  throw new UsageError({ where: `platform "${name}"`, what: "it has no files" });
}
