import { basename } from "node:path";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { countParameters, networkWeights } from "../../src/graph/network.ts";
import type { Platform } from "../../src/platform.ts";
import { networkCost } from "../../src/report/cost.ts";
import { renderReport } from "../../src/report/training.ts";
import type { EvaluationResult } from "../../src/tasks/evaluate/evaluate.ts";
import { galleryOf } from "../../src/tasks/evaluate/report-gallery.ts";
import type { Model } from "../../src/tasks/model/model.ts";
import { quote } from "./train/command-line.ts";
import { nameOf } from "./train/data-name.ts";
import { machineFacts } from "./train/machine.ts";

/** What was tested on what, and how it did. */
interface Test extends EvaluationResult {
  readonly modelFile: string;
  readonly folder: string;
  /** As they were typed. */
  readonly flags: readonly string[];
  readonly model: Model;
  readonly dataset: ImageDataset;
}

/** The report on a test, as HTML. */
export async function evaluationReport(test: Test, platform: Platform): Promise<string> {
  const { modelFile, folder, flags, model, dataset, evaluation, predictions, skipped } = test;
  return renderReport({
    kind: "Test report",
    title: `${basename(modelFile)} on ${nameOf(folder)}`,
    network: { parameters: countParameters(networkWeights(model.network)).total },
    evaluation,
    gallery: await galleryOf(predictions, dataset, platform.images),
    cost: networkCost(model.network),
    skipped,
    reproduction: {
      commands: [["xception", "evaluate", modelFile, folder, ...flags].map(quote).join(" ")],
      facts: await machineFacts(),
    },
  });
}
