import type { Platform } from "../../../src/base/platform.ts";
import type { Evaluation } from "../../../src/base/records.ts";
import { countParameters, type Network, networkWeights, type ParameterCount } from "../../../src/graph/network.ts";
import type { Provenance } from "../../../src/model/model.ts";
import { architectureNamed, buildNetwork, defaultName } from "../../../src/models/registry.ts";
import type { Fact } from "../../../src/report/document.ts";
import { describeEvaluation } from "../../../src/report/evaluation.ts";
import { formatPercent, withCommas } from "../../../src/report/numbers.ts";
import type { TrainingReport } from "../../../src/report/training-report.ts";
import { type EvaluationResult, galleryOf } from "../../../src/tasks/evaluate/evaluate.ts";
import type { TrainingResult } from "../../../src/train/request.ts";
import { reportOn } from "../../../src/train/training-report.ts";
import { packageVersion } from "../package-version.ts";
import { machineFacts } from "../train/machine.ts";
import { artists, credits, type DemoImages, describeImages, simplestGuess } from "./images.ts";
import { type DemoRecipe, describeSize } from "./recipe.ts";

/** Key in the provenance of the models that the demo makes. */
export const demoMark = "demo";

/** What the model file says about where it comes from; without dates, so that the same seed gives the same bytes. */
export function demoProvenance(sets: DemoImages, recipe: DemoRecipe, { images, top1, loss }: Evaluation): Provenance {
  return {
    program: `xception-ts ${packageVersion}`,
    [demoMark]: `emoji by ${artists.training}, tested on emoji by ${artists.test}`,
    recipe: { ...recipe },
    data: { training: describeImages(sets.training), test: describeImages(sets.test) },
    credits: credits.map(({ name, value }) => `${name}: ${value}`),
    test: { images, top1, loss },
  };
}

/** What the report says. */
export async function demoReport(
  { training, test, fingerprint }: DemoResult,
  images: DemoImages,
  recipe: DemoRecipe,
  platform: Platform,
): Promise<TrainingReport> {
  return reportOn(
    { ...training, ...test, validationSkipped: test.skipped },
    {
      title: "Xception learns emoji",
      summary: summaryOf(images, recipe, test.evaluation),
      settings: settingsOf(images, recipe),
      full: {
        name: "the full Xception",
        parameters: countParameters(networkWeights(buildNetwork(architectureNamed(defaultName)))).total,
      },
      reproduction: {
        commands: [`xception demo --seed ${recipe.seed} --epochs ${recipe.epochs}`],
        facts: [{ name: "SHA-256 of model.onnx", value: fingerprint }, ...(await machineFacts()), ...credits],
      },
      gallery: await galleryOf(test.predictions, images.test, platform.images),
    },
  );
}

function summaryOf({ training, test }: DemoImages, recipe: DemoRecipe, { top1 }: Evaluation): string {
  const { label, accuracy } = simplestGuess(test);
  return (
    `The network of Chollet's paper, ${describeSize(recipe)}, learned from ${withCommas(training.samples.length)} ` +
    `emoji as ${artists.training} draws them. Of ${artists.test}'s drawings, which it never saw, it recognizes ` +
    `${formatPercent(top1)}; calling all of them ${label} would be right for ${formatPercent(accuracy)}.`
  );
}

function settingsOf({ training, test }: DemoImages, recipe: DemoRecipe): Fact[] {
  const { imageSize, width, middleFlowRepeats, batchSize, learningRate, weightDecay, labelSmoothing, seed } = recipe;
  const { rotationDegrees, scale, shift, crop, brightness, contrast, saturation } = recipe.augment;
  return [
    {
      name: "Network",
      value: `Xception, ${width} times as wide, ${middleFlowRepeats} blocks in the middle flow`,
    },
    { name: "Image size", value: `${imageSize}×${imageSize}, transparency laid over white` },
    { name: "Training images", value: `${artists.training}: ${describeImages(training)}` },
    { name: "Test images", value: `${artists.test}: ${describeImages(test)}` },
    { name: "Tested weights", value: "those after the last epoch, whatever the test says of them" },
    { name: "Optimizer", value: `AdamW, weight decay ${weightDecay}, batches of ${batchSize}` },
    { name: "Learning rate", value: `one cycle up to ${learningRate}` },
    { name: "Label smoothing", value: `${labelSmoothing}` },
    {
      name: "Augmentation",
      value: `flips, turns to ±${rotationDegrees}°, scale ±${share(scale)}, shifts to ±${share(shift)}, crops of up to ${share(crop)}; brightness ±${share(brightness)}, contrast ±${share(contrast)}, saturation ±${share(saturation)}`,
    },
    { name: "Seed", value: `${seed}; on one machine it always gives the same weights, bit for bit` },
  ];
}

function share(fraction: number): string {
  return `${Math.round(100 * fraction)}\u00a0%`;
}

/** What the terminal says first: which network learns what. */
export function introduction({ training, test }: DemoImages, recipe: DemoRecipe, network: Network): string {
  const { epochs } = recipe;
  const full = countParameters(networkWeights(buildNetwork(architectureNamed(defaultName))));
  const own = countParameters(networkWeights(network));
  return `Xception, built from scratch: ${describeParameters(full)}.
For this demo ${describeSize(recipe)}: ${describeParameters(own)}.

It learns from ${withCommas(training.samples.length)} emoji as ${artists.training} draws them:
  ${describeImages(training)}.
Then it is tested on ${withCommas(test.samples.length)} emoji as ${artists.test} draws them, which it has never seen.

Training for ${epochs} ${epochs === 1 ? "epoch" : "epochs"}; Ctrl-C stops it and leaves nothing behind.
`;
}

/** What the terminal says last: how good it is. */
export function conclusion(
  { test: { evaluation }, fingerprint }: DemoResult,
  { test }: DemoImages,
  { seed }: DemoRecipe,
  width?: number,
): string {
  const { label, accuracy } = simplestGuess(test);
  return `The test on ${artists.test}'s drawings
${describeEvaluation(evaluation, width === undefined ? {} : { width })}

${percent(evaluation.top1)} of images by an artist it never saw are recognized; calling all of them ${label}: ${percent(accuracy)}.
Seed ${seed} gives this model again on this machine, bit for bit. SHA-256 of model.onnx:
${fingerprint}
`;
}

function describeParameters({ total, trainable }: ParameterCount): string {
  return `${withCommas(total)} parameters, ${withCommas(trainable)} of them trainable`;
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}

/** What a demo came to. */
export interface DemoResult {
  readonly training: TrainingResult;
  readonly test: EvaluationResult;
  /** SHA-256 of the model file. */
  readonly fingerprint: string;
}
