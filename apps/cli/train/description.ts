import { basename } from "node:path";
import type { EvaluatedImages, Evaluation } from "../../../src/base/records.ts";
import { countPerClass, type ImageDataset } from "../../../src/data/dataset.ts";
import { countParameters, networkWeights } from "../../../src/graph/network.ts";
import type { Provenance } from "../../../src/model/model.ts";
import type { CalibratedModel } from "../../../src/model/temperature.ts";
import { architectureNamed, buildNetwork, pickOptions } from "../../../src/models/registry.ts";
import { type Fact, factsOf } from "../../../src/report/document.ts";
import { counted, formatInterval, formatNumber } from "../../../src/report/numbers.ts";
import type { Gallery, TrainingReport } from "../../../src/report/training-report.ts";
import { recordedScores } from "../../../src/tasks/card/scores.ts";
import type { EvaluationResult } from "../../../src/tasks/evaluate/evaluate.ts";
import type { TrainingPlan } from "../../../src/train/prepare.ts";
import type { TrainingResult } from "../../../src/train/request.ts";
import { describeSettings } from "../../../src/train/settings/file-network.ts";
import { type SettingName, type Settings, settingOf, wordsOf } from "../../../src/train/settings/settings.ts";
import { augmentationSettings } from "../../../src/train/settings/training-settings.ts";
import { type ReportedResult, reportOn } from "../../../src/train/training-report.ts";
import { machineFacts, packageVersion } from "../machine.ts";
import { nameOf } from "./flags.ts";
import type { EvaluationImages } from "./images.ts";
import { movableSettings } from "./resume.ts";
import type { Run } from "./run.ts";

/** Settings with local paths, which are private, and those that depend on them. */
const paths: readonly SettingName[] = [...movableSettings, "weights", "allowMissing", "key"];

/** The provenance in the model file, without dates and paths, so that the same run gives the same bytes. */
export function provenanceOf(
  { plan, folder, ...run }: Run,
  { epoch, stepsOfWeights, evaluation, test, calibration }: TrainingResult,
): Provenance {
  const { sources, settings, start, dataset: training } = plan;
  const dataOf = (images: EvaluationImages) => ({
    folder: nameOf(images.folder ?? folder),
    images: imagesPerClass(images.dataset),
  });
  const recipe = [...sources.keys()]
    .filter((name) => !paths.includes(name) && settings[name] !== null)
    .map((name) => [name, settings[name]]);
  return {
    program: `xception-ts ${packageVersion}`,
    recipe: Object.fromEntries(recipe),
    data: {
      training: { folder: nameOf(folder), images: imagesPerClass(training) },
      ...(run.validation && { validation: dataOf(run.validation) }),
      ...(run.test && { test: dataOf(run.test) }),
    },
    ...(start && { start: { file: start.file, format: start.format, tensors: start.tensors, ...start.origin } }),
    epoch,
    epochs: epoch,
    steps: stepsOfWeights,
    ...(evaluation && { validation: recordedScores(evaluation) }),
    ...(calibration && { calibration: { ...calibration } }),
    ...(test && { test: recordedScores(test.evaluation) }),
  };
}

/** Collects the contents of a run's report. */
export async function describeRun(
  run: Run,
  result: ReportedResult & Partial<TrainingResult>,
  gallery: Gallery | undefined,
): Promise<TrainingReport> {
  const { plan, folder, commandLine } = run;
  const { settings } = plan;
  const full = buildNetwork(architectureNamed(settings.architecture));
  const report = reportOn(result, {
    title: `Xception on ${nameOf(folder)}`,
    summary: summaryOf(plan, result),
    settings: settingsOf(run),
    full: { name: "the full Xception", parameters: countParameters(networkWeights(full)).total },
    reproduction: { commands: [commandLine], facts: await machineFacts() },
    gallery,
  });
  return { ...report, ...(result.aborted && { isStopped: true }) };
}

/** Progress of a run, and its weights. */
export interface Reached extends Pick<TrainingResult, "epoch" | "history" | "steps"> {
  /** Default `best`. */
  readonly keep?: Settings["keep"] | undefined;
  readonly calibration?: CalibratedModel | undefined;
  readonly evaluation?: Evaluation | undefined;
  readonly test?: Pick<EvaluationResult, "evaluation" | "skipped"> | undefined;
}

/** Describes the weights of the model, and their evaluation. */
export function describeChoice({ epoch, keep, evaluation, calibration, test, history, steps }: Reached): string {
  const scaled = calibration ? ` ${describeCalibration(calibration)}` : "";
  const tested = `${scaled}${test ? ` Test: ${describeAccuracy(test.evaluation, "test")}.` : ""}`;
  if (evaluation) {
    const best = keep === "last" ? ", the last one" : history.length > 1 ? `, the best of ${history.length}` : "";
    return `The model is that of epoch ${epoch}${best}: ${describeAccuracy(evaluation, "validation")}.${tested}`;
  }
  const when = epoch === 0 ? "before the end of the first epoch" : "the last one";
  return `The model is that of step ${steps}, ${when}; it was not validated.${tested}`;
}

/** Describes the calibration of a model in a sentence. */
export function describeCalibration({ temperature, errorBefore, errorAfter, images }: CalibratedModel): string {
  const errors = [errorBefore, errorAfter].map((error) => (100 * error).toFixed(1));
  return `Its probabilities are calibrated with temperature ${formatNumber(temperature)}: calibration error ${errors.join(" → ")} % on ${counted(images, "image")}.`;
}

/** `87.3 % of 150 test images correct (95 % interval 81.0 to 91.7 %)`. */
function describeAccuracy(evaluation: Evaluation, kind: EvaluatedImages): string {
  const { top1, top1Interval, images, meanAveragePrecision: map } = evaluation;
  const precision = map === undefined ? "" : `MAP@100 ${(100 * map).toFixed(1)} %, `;
  const interval = top1Interval ? ` (95 % interval ${formatInterval(top1Interval).replace("\u00a0", " ")})` : "";
  return `${precision}${(100 * top1).toFixed(1)} % of ${counted(images, `${kind} image`)} correct${interval}`;
}

function summaryOf({ dataset, settings }: TrainingPlan, result: ReportedResult & Partial<TrainingResult>): string {
  const { history, aborted, steps, epoch } = result;
  const stopped = aborted ? ` It was stopped after ${counted(steps ?? 0, "step")}.` : "";
  const choice =
    steps === undefined || epoch === undefined
      ? ""
      : ` ${describeChoice({ ...result, keep: settings.keep, steps, epoch })}`;
  const { length } = dataset.samples;
  return `Trained on ${counted(length, "image")} of ${counted(dataset.classes.length, "class", "classes")} for ${history.length} of ${counted(settings.epochs, "epoch")}.${stopped}${choice}`;
}

function settingsOf({ plan, validation, test, folder }: Run): Fact[] {
  const { settings, sources, dataset: training, communicator } = plan;
  const { size: processes } = communicator;
  const { imageSize, optimizer, weightDecay, learningRate, schedule } = settings;
  const momentum = sources.has("momentum") ? `, momentum ${settings.momentum}` : "";
  const describe = ({ dataset, folder: own }: EvaluationImages) =>
    `${dataset.samples.length} from ${nameOf(own ?? folder)}${own === undefined ? ", held out of the training folder" : ""}`;
  return factsOf({
    Network: networkText(settings),
    "Image size": `${imageSize}×${imageSize}`,
    "Training images": `${training.samples.length} from ${nameOf(folder)}`,
    "Validation images": validation ? describe(validation) : "none: no epoch was chosen",
    "Test images": test && describe(test),
    ...fineTuningFacts(settings),
    Optimizer: `${optimizer}, weight decay ${weightDecay}${momentum}`,
    "Learning rate": `${schedule}, at most ${learningRate}`,
    "Batch size": `${settings.batchSize}${processes > 1 ? ` on each of ${processes} processes` : ""}`,
    Rounding: settings.quantizationAware
      ? "that of int8, also in validation; the model file has float32 weights"
      : undefined,
    Calibration: settings.temperature ? "temperature, fitted to the validation images" : undefined,
    "Label smoothing": `${settings.labelSmoothing}`,
    Augmentation: augmentationText(settings),
    ...imbalanceFacts(settings),
    Seed: `${settings.seed}`,
  });
}

/** `strong, flip no, random erasing 0.5, mixup 0.2`. */
export function augmentationText(settings: Settings): string {
  const { augment, mixup, cutMix } = settings;
  const { augment: _, mixup: __, cutMix: ___, ...others } = augmentationSettings;
  const chosen = (Object.keys(others) as (keyof typeof others)[]).filter((name) => settings[name] !== null);
  return [
    augment,
    ...chosen.map((name) => `${wordsOf(name)} ${settingOf(name).write(settings[name])}`),
    ...(mixup > 0 ? [`mixup ${mixup}`] : []),
    ...(cutMix > 0 ? [`CutMix ${cutMix}`] : []),
  ].join(", ");
}

function fineTuningFacts(settings: Settings) {
  const { weights, headEpochs, headViews, unfreezeFrom, cachedViews, freeze, train, layerDecay } = settings;
  const views = headViews === 1 ? "" : `, ${headViews} views of each image`;
  const last = unfreezeFrom === "last" ? "the last block" : unfreezeFrom;
  const frozen = [
    ...(unfreezeFrom === null ? [] : [unfreezeFrom === "top" ? "all but the classifier" : `all before ${last}`]),
    ...(freeze === null ? [] : [freeze]),
    ...(train === null ? [] : [`but not ${train}`]),
  ];
  return {
    "Weights to start from": weights === null ? undefined : nameOf(weights),
    "Classifier alone, first": headEpochs === 0 ? undefined : `${counted(headEpochs, "epoch")}${views}`,
    Frozen: frozen.length === 0 ? undefined : frozen.join(", "),
    "Views of each image": cachedViews === null ? undefined : `${cachedViews}, repeated`,
    "Rate of each earlier block": layerDecay === 1 ? undefined : `× ${layerDecay}`,
  };
}

function imbalanceFacts({ classWeights, sampleWeights, sampling }: Settings) {
  const weights = classWeights === "balanced" ? classWeights : JSON.stringify(classWeights);
  return {
    "Class weights": classWeights === null ? undefined : weights,
    "Weights of images": sampleWeights === null ? undefined : basename(sampleWeights),
    Sampling: sampling === "balanced" ? "every class equally often" : undefined,
  };
}

/** The name and the options that differ from their defaults: `xception, width 0.25, dropout 0.5`. */
function networkText(settings: Settings): string {
  const { architecture } = settings;
  const options = Object.keys(pickOptions(architecture, settings)) as SettingName[];
  const changed = options.filter((name) => {
    const { write, default: value } = settingOf(name);
    return write(settings[name]) !== write(value);
  });
  return changed.length === 0 ? architecture : `${architecture}, ${describeSettings(changed, settings)}`;
}

/** Number of images of each class, by its name. */
export function imagesPerClass(dataset: ImageDataset): Readonly<Record<string, number>> {
  const counts = countPerClass(dataset);
  return Object.fromEntries(dataset.classes.map((name, label) => [name, counts[label]!]));
}
