import { UsageError } from "./base/errors.ts";
import { limitPixels } from "./base/pixel-limit.ts";
import type { FileSystem, ImageLimits, Platform } from "./base/platform.ts";
import type { LoadModelOptions } from "./model/load-model.ts";
import type { LoadWeightsOptions, OpenAsOptions, OpenModelOptions } from "./model/open-weights.ts";
import type { PreprocessingOptions } from "./model/preprocessing.ts";
import type { ConvertOptions } from "./tasks/convert.ts";
import type { EvaluateOptions } from "./tasks/evaluate/evaluate.ts";
import type { EmbedOptions, SearchOptions } from "./tasks/features/embed.ts";
import type { LoadExtractorOptions } from "./tasks/features/feature-extractor.ts";
import type { QuantizeOptions } from "./tasks/quantize/quantize.ts";
import type { VerifyModelOptions } from "./tasks/verify/model.ts";
import type { RequestedSettings, TrainingRequest } from "./train/request.ts";
import type { Bound, Verbs } from "./verbs.ts";

/** Options of a verb by name: complete, so that any other one is a mistake. */
type OptionNames<Options> = Readonly<Record<keyof Bound<Options>, true>>;

const weightsOptions: OptionNames<LoadWeightsOptions> = { allowMissing: true, key: true };
const openModelOptions: OptionNames<OpenModelOptions> = { inputShape: true, key: true };
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
const quantizeOptions: OptionNames<QuantizeOptions> = {
  test: true,
  count: true,
  seed: true,
  method: true,
  reduceRange: true,
  perTensor: true,
  maxDrop: true,
  minAgreement: true,
  allowSlower: true,
  signal: true,
  onProgress: true,
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
      const options = assertKnown("openModel", given, openModelOptions);
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
        import("./model/model-writer.ts"),
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
    quantize: async (model, images, given) => {
      const options = checked("quantize", given, quantizeOptions);
      const { quantize } = await import("./tasks/quantize/quantize.ts");
      return quantize(model, images, options);
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
