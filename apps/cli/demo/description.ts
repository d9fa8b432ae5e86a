import type { Platform } from "../../../src/base/platform.ts";
import type { Evaluation } from "../../../src/base/records.ts";
import { countParameters, type Network, networkWeights } from "../../../src/graph/network.ts";
import type { Provenance } from "../../../src/model/model.ts";
import { architectureNamed, buildNetwork, defaultName } from "../../../src/models/registry.ts";
import { type Fact, factsOf } from "../../../src/report/document.ts";
import { describeEvaluation } from "../../../src/report/evaluation.ts";
import { counted, formatPercent, withCommas } from "../../../src/report/numbers.ts";
import type { TrainingReport } from "../../../src/report/training-report.ts";
import { recordedScores } from "../../../src/tasks/card/scores.ts";
import { type EvaluationResult, galleryOf } from "../../../src/tasks/evaluate/evaluate.ts";
import type { TrainingResult } from "../../../src/train/request.ts";
import { reportOn } from "../../../src/train/training-report.ts";
import { machineFacts, packageVersion } from "../machine.ts";
import { imagesPerClass } from "../train/description.ts";
import { artists, credits, type DemoImages, type DemoRecipe, describeImages, majorityClass } from "./data.ts";

/** The result of a demo. */
export interface DemoResult {
  readonly training: TrainingResult;
  readonly test: EvaluationResult;
  /** SHA-256 of the model file. */
  readonly fingerprint: string;
}

/** Key in the provenance of the models that the demo makes. */
export const demoMark = "demo";

/** The provenance in the model file; without dates, so that the same seed gives the same bytes. */
export function demoProvenance(sets: DemoImages, recipe: DemoRecipe, evaluation: Evaluation): Provenance {
  return {
    program: `xception-ts ${packageVersion}`,
    [demoMark]: `emoji by ${artists.training}, tested on emoji by ${artists.test}`,
    recipe: { ...recipe },
    data: {
      training: { folder: "Noto Emoji", images: imagesPerClass(sets.training) },
      test: { folder: "Twemoji", images: imagesPerClass(sets.test) },
    },
    credits: credits.map(({ name, value }) => `${name}: ${value}`),
    test: recordedScores(evaluation),
  };
}

/** Builds the report on a demo. */
export async function demoReport(
  { training, test, fingerprint }: DemoResult,
  images: DemoImages,
  recipe: DemoRecipe,
  platform: Platform,
): Promise<TrainingReport> {
  return reportOn(
    { ...training, test },
    {
      title: "Xception learns emoji",
      summary: summaryOf(images, recipe, test.evaluation),
      settings: settingsOf(images, recipe),
      full: { name: "the full Xception", parameters: countParameters(networkWeights(fullNetwork())).total },
      reproduction: {
        commands: [`xception demo --seed ${recipe.seed} --epochs ${recipe.epochs}`],
        facts: [{ name: "SHA-256 of model.onnx", value: fingerprint }, ...(await machineFacts()), ...credits],
      },
      gallery: { images: "test", ...(await galleryOf(test.predictions, images.test, platform.images)) },
    },
  );
}

/** Xception as in the paper, of which the demo trains a small sibling. */
export function fullNetwork(): Network {
  return buildNetwork(architectureNamed(defaultName));
}

function summaryOf({ training, test }: DemoImages, recipe: DemoRecipe, { top1 }: Evaluation): string {
  const { label, accuracy } = majorityClass(test);
  return (
    `The network of Chollet's paper, ${describeSize(recipe)}, trained on ${withCommas(training.samples.length)} emoji by ` +
    `${artists.training}. It classifies ${formatPercent(top1)} of ${artists.test}'s emoji correctly, none of which it was ` +
    `trained on; always predicting ${label} would give ${formatPercent(accuracy)}.`
  );
}

/** `a quarter as wide, with 2 blocks in the middle flow, for images of 72×72`. */
function describeSize({ width, middleFlowRepeats, imageSize }: DemoRecipe): string {
  const channels = width === 0.25 ? "a quarter" : `${width} times`;
  return `${channels} as wide, with ${middleFlowRepeats} blocks in the middle flow, for images of ${imageSize}×${imageSize}`;
}

function settingsOf({ training, test }: DemoImages, recipe: DemoRecipe): Fact[] {
  const { imageSize, width, middleFlowRepeats, batchSize, learningRate, weightDecay, labelSmoothing, seed } = recipe;
  const { rotationDegrees, scale, shift, crop, brightness, contrast, saturation } = recipe.augment;
  const share = (fraction: number) => `${Math.round(100 * fraction)}\u00a0%`;
  return factsOf({
    Network: `Xception, ${width} times as wide, ${middleFlowRepeats} blocks in the middle flow`,
    "Image size": `${imageSize}×${imageSize}, on white where transparent`,
    "Training images": `${artists.training}: ${describeImages(training)}`,
    "Test images": `${artists.test}: ${describeImages(test)}`,
    "Tested weights": "those of the last epoch, regardless of the test",
    Optimizer: `AdamW, weight decay ${weightDecay}, batches of ${batchSize}`,
    "Learning rate": `one cycle up to ${learningRate}`,
    "Label smoothing": `${labelSmoothing}`,
    Augmentation: `flips, rotations up to ±${rotationDegrees}°, scale ±${share(scale)}, shifts up to ±${share(shift)}, crops up to ${share(crop)}; brightness ±${share(brightness)}, contrast ±${share(contrast)}, saturation ±${share(saturation)}`,
    Seed: `${seed}; the same seed gives bit-identical weights on the same machine`,
  });
}

/** Introduces the network and the images on the terminal. */
export function introduction({ training, test }: DemoImages, recipe: DemoRecipe, network: Network): string {
  const { epochs } = recipe;
  return `Xception, built from scratch: ${describeParameters(fullNetwork())}.
For this demo ${describeSize(recipe)}: ${describeParameters(network)}.

Training images: ${withCommas(training.samples.length)} emoji by ${artists.training}
  ${describeImages(training)}
Test images: the same kinds of emoji, ${withCommas(test.samples.length)} of them, by ${artists.test}

Training for ${counted(epochs, "epoch")}; Ctrl-C stops it without writing anything.
`;
}

function describeParameters(network: Network): string {
  const { total, trainable } = countParameters(networkWeights(network));
  return `${withCommas(total)} parameters, ${withCommas(trainable)} trainable`;
}

/** Reports the test result on the terminal. */
export function conclusion(
  { test: { evaluation }, fingerprint }: DemoResult,
  { test }: DemoImages,
  { seed }: DemoRecipe,
  width?: number,
): string {
  const { label, accuracy } = majorityClass(test);
  const percent = (fraction: number) => `${(100 * fraction).toFixed(1)} %`;
  return `Test on ${artists.test}'s emoji
${describeEvaluation(evaluation, width === undefined ? {} : { width })}

Accuracy on emoji by an artist it was not trained on: ${percent(evaluation.top1)}; always predicting ${label}: ${percent(accuracy)}.
Seed ${seed} gives a bit-identical model on this machine. SHA-256 of model.onnx:
${fingerprint}
`;
}
