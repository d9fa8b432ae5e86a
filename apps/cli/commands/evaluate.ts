import { basename } from "node:path";
import type { Command } from "commander";
import { countParameters, networkWeights } from "../../../src/graph/network.ts";
import { loadModelOrGraph } from "../../../src/model/load-model.ts";
import { networkCost } from "../../../src/report/cost.ts";
import { describeEvaluation, predictionsCsv } from "../../../src/report/evaluation.ts";
import { renderReport } from "../../../src/report/training.ts";
import { assertWritable, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { evaluate, galleryOf } from "../../../src/tasks/evaluate/evaluate.ts";
import { addClassifierOptions, type ClassifierFlags, classifierArguments, reportNotes } from "../classifier-options.ts";
import { type CliIo, writeJson } from "../io.ts";
import { describeUnlabeled, readDataset, readMapWeights } from "../labels.ts";
import { addCommand, countOf, countsOf, givenFlags } from "../options.ts";
import { reportSkipped, startProgress } from "../progress.ts";
import { nameOf, quote } from "../train/flags.ts";
import { machineFacts } from "../train/machine.ts";

interface EvaluateFlags extends ClassifierFlags {
  readonly batchSize?: number;
  readonly labelsFile?: string;
  readonly mapWeights?: string;
  readonly top?: readonly number[];
  readonly csv?: string;
  readonly report?: string;
  readonly json?: boolean;
}

export function registerEvaluate(program: Command, io: CliIo): void {
  const command = addCommand(program, "evaluate <model> <folder>", {
    summary: "Evaluate a model on a folder of labeled images",
    details:
      "The folder has one subfolder per class. MODEL is a file in any supported format, a URL, or " +
      "a name of xception weights.",
    examples: [
      "xception evaluate run/model.onnx photos/test --json",
      "xception evaluate run/model.onnx photos/test --top 1,5 --report test.html",
    ],
  })
    .option("--batch-size <n>", "images per batch (default: 16)", countOf("--batch-size"))
    .option("--top <list>", "also report top-k accuracy for each k, e.g. 1,3,5", countsOf("--top"))
    .option("--csv <file>", "write the predictions as CSV")
    .option("--report <file>", "write an HTML report with charts and the worst mistakes as images")
    .option("--labels-file <file>", "labels of images with several each, as CSV or JSON")
    .option("--map-weights <file>", "weight of each class in MAP@100, by name, as JSON");
  const given = givenFlags(addClassifierOptions(command));
  command.action(async (modelFile: string, folder: string, flags: EvaluateFlags) => {
    const { batchSize, labelsFile, mapWeights, top, csv, report, device, json, ...about } = flags;
    for (const file of [csv, report]) if (file !== undefined) await assertWritable(file);
    const { platform, options } = await classifierArguments(command, about, io);
    const model = await loadModelOrGraph(modelFile, platform, options, { device });
    reportNotes(model.notes, io);
    for (const k of top ?? []) countOf("--top", { to: model.labels.length })(`${k}`);
    const { notes, unlabeled, ...dataset } = await readDataset(
      folder,
      labelsFile ?? null,
      platform.files,
      model.labels,
    );
    reportNotes([...notes, ...describeUnlabeled(unlabeled)], io);
    const weights = await readMapWeights(mapWeights ?? null, dataset, platform.files, model.labels);
    const progress = startProgress(io, { label: "evaluating", total: dataset.samples.length });
    const onProgress = ({ done }: { done: number }) => progress.update(done);
    const request = {
      platform,
      top,
      mapWeights: weights,
      batchSize,
      session: { device, signal: io.signal },
      signal: io.signal,
    };
    const result = await evaluate(model, dataset, { ...request, onProgress }).finally(() => progress.stop());
    const { evaluation, predictions, skipped, absent = [] } = result;
    reportSkipped(skipped, io);
    if (absent.length > 0) reportNotes([describeAbsent(absent, model.labels.length)], io);
    if (csv !== undefined) await writeFileAtomic(csv, predictionsCsv(predictions));
    if (report !== undefined) {
      const page = await renderReport({
        kind: "Evaluation report",
        title: `${basename(modelFile)} on ${nameOf(folder)}`,
        ...("weights" in model && {
          network: { parameters: countParameters(networkWeights(model.network)).total },
          cost: networkCost(model.network),
        }),
        evaluation,
        gallery: await galleryOf(predictions, dataset, platform.images),
        skipped,
        reproduction: {
          commands: [["xception", "evaluate", modelFile, folder, ...given].map(quote).join(" ")],
          facts: await machineFacts(),
        },
      });
      await writeFileAtomic(report, page);
    }
    if (json) writeJson(io, { ...evaluation, skipped });
    else io.stdout(`${describeEvaluation(evaluation, { width: io.columns ?? 100, predictions })}\n`);
  });
}

function describeAbsent(absent: readonly string[], classes: number): string {
  const more = absent.length > 5 ? ` and ${absent.length - 5} more` : "";
  return `The folder lacks ${absent.length} of the model's ${classes} classes: ${absent.slice(0, 5).join(", ")}${more}.`;
}
