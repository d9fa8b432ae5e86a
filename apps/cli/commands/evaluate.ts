import { basename } from "node:path";
import type { Command } from "commander";
import { UsageError } from "../../../src/base/errors.ts";
import type { Evaluation } from "../../../src/base/records.ts";
import { shardNames } from "../../../src/formats/tfjs/manifest.ts";
import { networkCost } from "../../../src/graph/cost.ts";
import { countParameters, networkWeights } from "../../../src/graph/network.ts";
import { type TargetName, weightsTargets } from "../../../src/model/formats.ts";
import { type ClassifierSession, type LoadedModel, loadModelOrGraph } from "../../../src/model/load-model.ts";
import {
  assertCalibratable,
  type CalibratedModel,
  calibrationOf,
  withTemperature,
} from "../../../src/model/temperature.ts";
import { describeEvaluation, predictionsCsv } from "../../../src/report/evaluation.ts";
import { renderReport } from "../../../src/report/training.ts";
import { assertWritable, writeFileAtomic, writeFilesAtomic } from "../../../src/runtime/node/files.ts";
import { evaluate, galleryOf } from "../../../src/tasks/evaluate/evaluate.ts";
import { addClassifierOptions, type ClassifierFlags, classifierArguments, reportNotes } from "../classifier-options.ts";
import { type CliIo, writeJson } from "../io.ts";
import { describeUnlabeled, readDataset, readMapWeights } from "../labels.ts";
import { machineFacts } from "../machine.ts";
import { addHelp, countOf, countsOf, givenFlags } from "../options.ts";
import { reportSkipped, startProgress } from "../progress.ts";
import { describeCalibration } from "../train/description.ts";
import { nameOf, quote } from "../train/flags.ts";
import { targetFor } from "./convert.ts";

interface EvaluateFlags extends ClassifierFlags {
  readonly batchSize?: number;
  readonly labelsFile?: string;
  readonly mapWeights?: string;
  readonly top?: readonly number[];
  readonly csv?: string;
  readonly report?: string;
  readonly temperature?: boolean;
  readonly output?: string;
  readonly json?: boolean;
}

export default function registerEvaluate(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "The folder has one subfolder per class. MODEL is a file in any supported format, a URL, or " +
      "a name of xception weights.",
    examples: [
      "xception evaluate run/model.onnx photos/test --json",
      "xception evaluate run/model.onnx photos/val --temperature -o calibrated.onnx",
    ],
  })
    .option("--batch-size <n>", "images per batch (default: 16)", countOf("--batch-size"))
    .option("--top <list>", "also report top-k accuracy for each k, e.g. 1,3,5", countsOf("--top"))
    .option("--csv <file>", "write the predictions as CSV")
    .option("--report <file>", "write an HTML report with charts and the worst mistakes as images")
    .option("--temperature", "fit a temperature on these images, and save the calibrated model with --output")
    .option("-o, --output <file>", "the calibrated model; its extension chooses the format, as for convert")
    .option("--labels-file <file>", "labels of images with several each, as CSV or JSON")
    .option("--map-weights <file>", "weight of each class in MAP@100, by name, as JSON");
  const given = givenFlags(addClassifierOptions(command));
  command.action(async (modelFile: string, folder: string, flags: EvaluateFlags) => {
    const { batchSize, labelsFile, mapWeights, top, csv, report, temperature, output, device, json } = flags;
    assertTogether(temperature, output);
    for (const file of [csv, report, output]) if (file !== undefined) await assertWritable(file);
    const { platform, options } = await classifierArguments(command, flags, io);
    const model = await loadModelOrGraph(modelFile, platform, options, { device });
    reportNotes(model.notes, io);
    if (output !== undefined) assertCalibratable("option --temperature", weighted(model, modelFile).network);
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
    if (output !== undefined) {
      const calibration = await writeCalibrated(output, weighted(model, modelFile), evaluation);
      if (!json) io.stderr(`${describeCalibration(calibration)} Wrote ${output}\n`);
    }
    if (json) writeJson(io, { ...evaluation, skipped });
    else io.stdout(`${describeEvaluation(evaluation, { width: io.columns ?? 100, predictions })}\n`);
  });
}

/** @throws {UsageError} only one of the two flags is given, or the extension is of no format. */
function assertTogether(temperature: boolean | undefined, output: string | undefined): void {
  if ((temperature === true) !== (output !== undefined)) {
    const [given, missing] = temperature ? ["--temperature", "--output"] : ["--output", "--temperature"];
    throw new UsageError({ where: `option ${given}`, what: `it needs ${missing}`, expected: "--temperature -o FILE" });
  }
  if (output !== undefined) targetOfCalibrated(output);
}

function targetOfCalibrated(path: string): TargetName {
  return targetFor(path, "option --output", "Or write a .onnx file, and convert it.");
}

/** @throws {UsageError} the model is the graph of another tool, whose weights have no names. */
function weighted(model: LoadedModel | ClassifierSession, file: string): LoadedModel {
  if ("weights" in model) return model;
  const what = "the model is an ONNX graph of another tool: its logits cannot be found";
  throw new UsageError({ where: "option --temperature", what, received: file });
}

/** Writes the model with the temperature that fits the evaluated images. */
async function writeCalibrated(path: string, model: LoadedModel, evaluation: Evaluation): Promise<CalibratedModel> {
  const calibration = calibrationOf(evaluation)!;
  const { bytes, beside } = await weightsTargets[targetOfCalibrated(path)].write(
    {
      ...model,
      weights: withTemperature(model.network, model.weights, calibration.temperature),
      provenance: { ...model.provenance, calibration: { ...calibration } },
    },
    { savedAt: new Date(), storedAs: "float32" },
  );
  await writeFilesAtomic(path, bytes, beside, shardNames);
  return calibration;
}

function describeAbsent(absent: readonly string[], classes: number): string {
  const more = absent.length > 5 ? ` and ${absent.length - 5} more` : "";
  return `The folder lacks ${absent.length} of the model's ${classes} classes: ${absent.slice(0, 5).join(", ")}${more}.`;
}
