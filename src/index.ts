/** The platform-independent part of the package; `xception-ts/node` binds its verbs to Node. */
/// <reference lib="esnext.disposable" preserve="true" />

// Errors, tensors, the platform, and the verbs bound to it: classify, train, convert …

export * from "./base/errors.ts";
export type { Json } from "./base/json.ts";
export type * from "./base/platform.ts";
export type * from "./base/records.ts";
export { bind } from "./bind.ts";
export type { Shape } from "./tensor/shape.ts";
export { type DataType, type FloatTensor, floatTensor, type Tensor } from "./tensor/tensor.ts";
export type { Bound, Verbs, WithImages } from "./verbs.ts";

// Networks: the flows of the paper, and the layers for building others.

export * from "./graph/builder.ts";
export { initializeWeights } from "./graph/initialize.ts";
export type { Initializer, WeightRole, WeightSpec } from "./graph/layer-weights.ts";
export type * from "./graph/layers.ts";
export {
  countParameters,
  inputShapeOf,
  type Layer,
  type Network,
  network,
  networkWeights,
  type ParameterCount,
} from "./graph/network.ts";
export type { Weights } from "./graph/weights.ts";
export { type AlignedVariant, type AlignedXceptionOptions, alignedXception } from "./models/aligned/network.ts";
export { type ConvBnOptions, convBn, sepConvBn } from "./models/blocks.ts";
export { type FeatureStage, featureStages } from "./models/feature-stages.ts";
export * from "./models/imagenet-classes.ts";
export * from "./models/inception/v3.ts";
export type { LayerList, ListedLayer } from "./models/layer-list.ts";
export type { SharedOptions } from "./models/options.ts";
export {
  type Architecture,
  type ArchitectureName,
  architectureNamed,
  architectureNames,
  architectureOf,
  buildNetwork,
  type NetworkOptions,
} from "./models/registry.ts";
export { type TimmName, timmNames, timmNamesOf } from "./models/timm-names.ts";
export type { FlowOptions, XceptionOptions, XceptionVariant } from "./models/xception/options.ts";
export * from "./models/xception/paper.ts";

// Reports: summaries, plots, costs and evaluations.

export { type ConvolutionComparison, type Cost, type LayerCost, type NetworkCost, networkCost } from "./graph/cost.ts";
export { describeCost } from "./report/cost.ts";
export { describeEvaluation, type EvaluationTextOptions, predictionsCsv } from "./report/evaluation.ts";
export { type PlotOptions, plotDot } from "./report/plot/dot.ts";
export { plotSvg } from "./report/plot/plot.ts";
export { type SummaryJson, summarize, summaryJson } from "./report/summary.ts";

// The compiler: layers to operators, their gradients, ONNX.

export * from "./compiler/compile.ts";
export * from "./compiler/fold-batch-norm.ts";
export * from "./compiler/gradient.ts";
export { inferenceForm } from "./compiler/inference.ts";
export { type BatchStatistics, type LoweredNetwork, type LowerOptions, lower } from "./compiler/lower.ts";
export * from "./compiler/onnx/onnx.ts";
export { OpGraphBuilder } from "./graph/op-builder.ts";
export { printOpGraph } from "./graph/op-print.ts";
export type { Constant, ElementType, OpConfig, Operation, OpGraph, OpKind, Value } from "./graph/ops.ts";
export * from "./graph/preprocessing.ts";
export { toEngineWeights } from "./graph/weights.ts";

// Data sets, augmentation and sampling.

export {
  type Augmentation,
  type AugmentationName,
  augmentations,
  defaultAugmentation,
  noAugmentation,
  type SmallChanges,
} from "./data/augmentation.ts";
export { type FolderDataset, folderDataset, type ImageDataset, relabel, type Sample } from "./data/dataset.ts";
export type { Range, WindowSizes } from "./data/geometry.ts";
export { type Erasing, type ErasingFill, erasingDefaults } from "./data/geometry.ts";
export {
  type LabelsByFile,
  type MultiLabelDataset,
  multiLabelDataset,
  parseLabels,
  parseMapWeights,
} from "./data/labels.ts";
export type { Mixing } from "./data/mixing.ts";
export type { RandAugment } from "./data/rand-augment.ts";
export { balancedClassWeights, type ClassWeights } from "./data/sample-weights.ts";
export { type Sampling, type SplitDataset, type SplitShares, splitDataset } from "./data/sampling.ts";

// Training: whole runs, and single steps.

export type { GradientClip } from "./learning/gradient-clipping.ts";
export * from "./learning/losses.ts";
export {
  type AverageDecay,
  createOptimizer,
  exponentialAverage,
  type Optimizer,
  type OptimizerName,
  type OptimizerOptions,
  polyakAverage,
  type Updated,
  type UpdateOperands,
} from "./learning/optimizers.ts";
export { AveragePrecisionTally, meanAveragePrecision } from "./learning/ranking.ts";
export * from "./learning/schedules.ts";
export type {
  BestWeights,
  Checkpoint,
  CheckpointOptions,
  EpochState,
  TrainingIdentity,
} from "./train/checkpoint.ts";
export {
  decodeBest,
  decodeCheckpoint,
  encodeBest,
  encodeCheckpoint,
  type StoredCheckpoint,
} from "./train/checkpoint-file.ts";
export * from "./train/fine-tuning.ts";
export { type HeadPhase, prepareTraining, type TrainingPlan } from "./train/prepare.ts";
export type * from "./train/request.ts";
export type { Reduce } from "./train/step/split-program.ts";
export type { Fault } from "./train/step/training-diagnosis.ts";
export {
  type SplitTrainingGraph,
  type StepInterface,
  splitTrainingGraph,
  type TrainingGraph,
  trainingGraph,
} from "./train/step/training-graph.ts";
export type { TrainingGraphOptions } from "./train/step/training-graph-options.ts";
export type { StateEntry, TrainingState } from "./train/step/training-state.ts";
export { type StepInput, type StepResult, TrainingStep, type TrainingStepOptions } from "./train/step/training-step.ts";
export { runTraining } from "./train/train.ts";

// Models: a network with weights, labels and preprocessing in one file, and their predictions and features.

export type { LoadedModel, LoadModelOptions, LoadOptions } from "./model/load-model.ts";
export type { ImagePreprocessing, Model, ModelParts, Provenance } from "./model/model.ts";
export { decodeModel, type ModelDescription } from "./model/model-file.ts";
export { encodeModel } from "./model/model-writer.ts";
export {
  type InferenceModel,
  type LoadPart,
  loadPredictor,
  type NetworkPart,
  type PredictAllOptions,
  type Predicted,
  type PredictedBatch,
  type PredictOptions,
  Predictor,
} from "./model/predictor.ts";
export type { PreprocessingOptions, PreprocessName } from "./model/preprocessing.ts";
export type { CalibratedModel } from "./model/temperature.ts";
export {
  type Classified,
  Classifier,
  type ClassifyAllOptions,
  type ClassifyOptions,
} from "./tasks/evaluate/classifier.ts";
export type {
  EvaluateOptions,
  EvaluationProgress,
  EvaluationResult,
} from "./tasks/evaluate/evaluate.ts";
export type {
  Explained,
  Explainer,
  ExplainOptions,
  Explanation,
} from "./tasks/explain/explainer.ts";
export { type ExplanationMethod, explanationMethods } from "./tasks/explain/methods.ts";
export {
  type ExplanationScores,
  type NamedImage,
  type ScoreOptions,
  scoreExplanations,
} from "./tasks/explain/score.ts";
export type { Embedded, EmbedOptions, ImageToEmbed, SearchOptions } from "./tasks/features/embed.ts";
export type { EmbeddedImage, Embeddings, EmbeddingsOrigin } from "./tasks/features/embeddings.ts";
export {
  embeddingsWriter,
  type NearestOptions,
  type Neighbor,
  nearest,
  readEmbeddings,
} from "./tasks/features/embeddings.ts";
export type {
  ExtractAllOptions,
  Extracted,
  FeatureChoice,
  FeatureExtractor,
  FeatureMap,
  LoadExtractorOptions,
  Pooling,
} from "./tasks/features/feature-extractor.ts";

// Weights and models of other tools, and verification against Keras.

export type { MappingReport } from "./formats/map-weights.ts";
export { type TargetName, targetOf } from "./model/formats.ts";
export type {
  LoadedWeights,
  LoadWeightsOptions,
  OpenAsOptions,
  OpenedModel,
  OpenModelOptions,
} from "./model/open-weights.ts";
export * from "./model/update-architecture.ts";
export type { Conversion, ConvertOptions } from "./tasks/convert.ts";
export type { QuantizationImage } from "./tasks/quantize/calibration.ts";
export type { QuantizedModel, QuantizeOptions } from "./tasks/quantize/quantize.ts";
export { type Golden, parseGolden, parseTrainingGolden, type TrainingGolden } from "./tasks/verify/golden.ts";
export type { ModelVerification, RuntimeVerification, VerifyModelOptions } from "./tasks/verify/model.ts";
export type { TapDifference } from "./tasks/verify/reference.ts";
export { type TrainingDifference, type TrainingVerification, verifyTraining } from "./tasks/verify/training.ts";
export {
  type Verification,
  type VerifyLayout,
  type VerifyOptions,
  type VerifyTolerance,
  verifyGolden,
} from "./tasks/verify/verify.ts";

// Training settings, named as in flags and configuration files, and recipes: presets of settings.

export * from "./train/settings/choices.ts";
export * from "./train/settings/config-file.ts";
export { type RecipeName, recipeLayer, recipes } from "./train/settings/recipes.ts";
export { type ResolvedSettings, resolveSettings, type SettingsLayer } from "./train/settings/resolve.ts";
export type { SettingName, Settings } from "./train/settings/settings.ts";

// Clients of `xception serve`.

export {
  type Client,
  type ClientImage,
  type ClientImageRequest,
  type ClientOptions,
  type ClientRequest,
  createClient,
  ServerError,
} from "./client/client.ts";
export type * from "./client/protocol.ts";

// Tensor files.

export { decodeFloats, type EncodedTensor, type NumberFormat } from "./formats/number-formats.ts";
export { readSafetensors, type SafetensorsFile, writeSafetensors } from "./formats/safetensors.ts";
export { readTorch, type StoredTensor, type TorchFile } from "./formats/torch/file.ts";
