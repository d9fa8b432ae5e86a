import { countParameters, networkWeights } from "../../../src/graph/network.ts";
import { xception } from "../../../src/models/xception.ts";
import type { Platform } from "../../../src/platform.ts";
import type { Evaluation } from "../../../src/records.ts";
import { formatPercent } from "../../../src/report/html/format.ts";
import { withCommas } from "../../../src/report/number-text.ts";
import type { Fact, TrainingReport } from "../../../src/report/training-report.ts";
import { galleryOf } from "../../../src/tasks/evaluate/report-gallery.ts";
import type { Provenance } from "../../../src/tasks/model/model.ts";
import { reportOn } from "../../../src/tasks/train/training-report.ts";
import { packageVersion } from "../package-version.ts";
import { machineFacts } from "../train/machine.ts";
import { demoMark } from "./demo-folder.ts";
import { artists, credits, type DemoPictures, describePictures, simplestGuess } from "./pictures.ts";
import { type DemoRecipe, describeSize } from "./recipe.ts";
import type { DemoResult } from "./result.ts";

/** What the model file says about where it comes from; without dates, so that the same seed gives the same bytes. */
export function demoProvenance(
  pictures: DemoPictures,
  recipe: DemoRecipe,
  { images, top1, loss }: Evaluation,
): Provenance {
  const { network: _, augmentation, ...settings } = recipe;
  return {
    program: `xception-ts ${packageVersion}`,
    [demoMark]: `emoji by ${artists.training}, tested on emoji by ${artists.test}`,
    recipe: { optimizer: "adamw", schedule: "one-cycle", ...settings, augmentation: { ...augmentation } },
    data: { training: describePictures(pictures.training), test: describePictures(pictures.test) },
    credits: credits.map(({ name, value }) => `${name}: ${value}`),
    test: { images, top1, loss },
  };
}

/** What the report says. */
export async function demoReport(
  { training, test, fingerprint }: DemoResult,
  pictures: DemoPictures,
  recipe: DemoRecipe,
  platform: Platform,
): Promise<TrainingReport> {
  return reportOn(
    { ...training, ...test, validationSkipped: test.skipped },
    {
      title: "Xception learns emoji",
      summary: summaryOf(pictures, recipe, test.evaluation),
      settings: settingsOf(pictures, recipe),
      full: { name: "the full Xception", parameters: countParameters(networkWeights(xception())).total },
      reproduction: {
        commands: [`xception demo --seed ${recipe.seed} --epochs ${recipe.epochs}`],
        facts: [{ name: "SHA-256 of model.onnx", value: fingerprint }, ...(await machineFacts()), ...credits],
      },
      gallery: await galleryOf(test.predictions, pictures.test, platform),
    },
  );
}

function summaryOf({ training, test }: DemoPictures, { network }: DemoRecipe, { top1 }: Evaluation): string {
  const { label, accuracy } = simplestGuess(test);
  return (
    `The network of Chollet's paper, ${describeSize(network)}, learned from ${withCommas(training.samples.length)} ` +
    `emoji as ${artists.training} draws them. Of ${artists.test}'s drawings, which it never saw, it recognises ` +
    `${formatPercent(top1)}; calling all of them ${label} would be right for ${formatPercent(accuracy)}.`
  );
}

function settingsOf({ training, test }: DemoPictures, recipe: DemoRecipe): Fact[] {
  const { network, batchSize, learningRate, weightDecay, labelSmoothing, augmentation, seed } = recipe;
  const { rotationDegrees, scale, shift, crop, brightness, contrast, saturation } = augmentation;
  const [height, width] = network.inputShape!;
  return [
    {
      name: "Network",
      value: `Xception, ${network.width} times as wide, ${network.middleFlowRepeats} blocks in the middle flow`,
    },
    { name: "Picture size", value: `${height}×${width}, transparency laid over white` },
    { name: "Training pictures", value: `${artists.training}: ${describePictures(training)}` },
    { name: "Test pictures", value: `${artists.test}: ${describePictures(test)}` },
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
