import { countParameters, networkWeights } from "../../../src/graph/network.ts";
import { architectureNamed, buildNetwork, defaultName } from "../../../src/models/registry.ts";
import type { Platform } from "../../../src/platform.ts";
import type { Evaluation } from "../../../src/records.ts";
import type { Fact } from "../../../src/report/document.ts";
import { formatPercent, withCommas } from "../../../src/report/numbers.ts";
import type { TrainingReport } from "../../../src/report/training-report.ts";
import { galleryOf } from "../../../src/tasks/evaluate/report-gallery.ts";
import type { Provenance } from "../../../src/tasks/model/model.ts";
import { reportOn } from "../../../src/tasks/train/training-report.ts";
import { packageVersion } from "../package-version.ts";
import { machineFacts } from "../train/machine.ts";
import { demoMark } from "./demo-folder.ts";
import { artists, credits, type DemoImages, describeImages, simplestGuess } from "./images.ts";
import { type DemoRecipe, describeSize } from "./recipe.ts";
import type { DemoResult } from "./result.ts";

/** What the model file says about where it comes from; without dates, so that the same seed gives the same bytes. */
export function demoProvenance(sets: DemoImages, recipe: DemoRecipe, { images, top1, loss }: Evaluation): Provenance {
  const { network: _, augmentation, ...settings } = recipe;
  return {
    program: `xception-ts ${packageVersion}`,
    [demoMark]: `emoji by ${artists.training}, tested on emoji by ${artists.test}`,
    recipe: { optimizer: "adamw", schedule: "one-cycle", ...settings, augmentation: { ...augmentation } },
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

function summaryOf({ training, test }: DemoImages, { network }: DemoRecipe, { top1 }: Evaluation): string {
  const { label, accuracy } = simplestGuess(test);
  return (
    `The network of Chollet's paper, ${describeSize(network)}, learned from ${withCommas(training.samples.length)} ` +
    `emoji as ${artists.training} draws them. Of ${artists.test}'s drawings, which it never saw, it recognizes ` +
    `${formatPercent(top1)}; calling all of them ${label} would be right for ${formatPercent(accuracy)}.`
  );
}

function settingsOf({ training, test }: DemoImages, recipe: DemoRecipe): Fact[] {
  const { network, batchSize, learningRate, weightDecay, labelSmoothing, augmentation, seed } = recipe;
  const { rotationDegrees, scale, shift, crop, brightness, contrast, saturation } = augmentation;
  const [height, width] = network.inputShape!;
  return [
    {
      name: "Network",
      value: `Xception, ${network.width} times as wide, ${network.middleFlowRepeats} blocks in the middle flow`,
    },
    { name: "Image size", value: `${height}×${width}, transparency laid over white` },
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
