import { TrainingError } from "../../../src/errors.ts";
import { countParameters, type Network, networkWeights } from "../../../src/graph/network.ts";
import type { Platform } from "../../../src/platform.ts";
import { historyCsv } from "../../../src/report/history-csv.ts";
import { withCommas } from "../../../src/report/number-text.ts";
import { encodeModel } from "../../../src/tasks/model-file.ts";
import { trainOptions } from "../../../src/tasks/settings/chosen-options.ts";
import { writeConfig } from "../../../src/tasks/settings/config-file.ts";
import type { StartingWeights } from "../../../src/tasks/starting-weights.ts";
import { train } from "../../../src/tasks/train.ts";
import type { TrainingResult } from "../../../src/tasks/train-options.ts";
import type { CliIo } from "../io.ts";
import { provenanceOf, reportText } from "./description.ts";
import { TrainingDisplay } from "./display.ts";
import type { TrainingInputs } from "./inputs.ts";
import type { RunFolder } from "./run-folder.ts";

/**
 * Trains and saves: the history after every epoch, the model and its test whenever it is the best so far, the report at the
 * end. However the training ends, what is in the folder fits together.
 * @throws as `train`.
 */
export async function trainInto(
  folder: RunFolder,
  inputs: TrainingInputs,
  platform: Platform,
  io: CliIo,
): Promise<TrainingResult> {
  const { settings, training, validation, options } = inputs;
  const display = new TrainingDisplay(io);
  let latest: TrainingResult | undefined;
  const writeReport = async (result: TrainingResult) =>
    folder.write("report", await reportText(inputs, result, platform));
  try {
    const result = await train(training, {
      ...trainOptions(settings),
      platform,
      device: inputs.device,
      network: options,
      ...(inputs.weights && startOf(inputs.weights)),
      validation,
      signal: io.signal,
      onStart: ({ network }) => io.stderr(`${announcement(network, inputs)}\n`),
      onProgress: (progress) => display.showStep(progress),
      onEpoch: async (soFar) => {
        display.showEpoch(soFar, settings.epochs);
        await save(folder, inputs, soFar);
        latest = soFar;
      },
    });
    display.stop();
    if (result.steps === 0) return result;
    if (result.aborted) await save(folder, inputs, result);
    await writeReport(result);
    return result;
  } catch (error) {
    display.stop();
    if (error instanceof TrainingError && latest !== undefined) {
      await writeReport(latest);
      io.stderr(`The model of epoch ${latest.epoch} stays in ${folder.file("model")}.\n`);
    }
    throw error;
  }
}

function announcement(network: Network, { training, validation, weights }: TrainingInputs): string {
  const { total } = countParameters(networkWeights(network));
  const pictures = `${training.samples.length} pictures of ${training.classes.length} classes`;
  const text = `Training ${network.name}, ${withCommas(total)} parameters, on ${pictures}; testing on ${validation.samples.length}`;
  return weights === undefined ? text : `${text}\n${describeStart(weights)}`;
}

function startOf({ weights, preprocessing }: StartingWeights) {
  return { weights, ...(preprocessing && { preprocessing }) };
}

/** What the training begins with, in one sentence. */
function describeStart({ format, report }: StartingWeights): string {
  const { taken, missing, unexpected, wrongShape } = report;
  const anew = [...missing, ...wrongShape];
  const parts = [
    ...(anew.length > 0 ? [`these start anew: ${anew.join(", ")}`] : []),
    ...(unexpected.length > 0 ? [`these have no place: ${unexpected.join(", ")}`] : []),
  ];
  return `Starting from ${taken} weights of the ${format}${parts.map((part) => `; ${part}`).join("")}`;
}

/** The model only when its weights are new: after an epoch that was the best so far, or after one that was not tested. */
async function save(folder: RunFolder, inputs: TrainingInputs, soFar: TrainingResult): Promise<void> {
  const { options } = inputs;
  const { labels, weights, preprocessing, evaluation, epoch, history, validationSkipped } = soFar;
  if (evaluation === undefined || epoch === history.length) {
    const architecture = { family: "xception", options } as const;
    const provenance = provenanceOf(inputs, soFar);
    await folder.write("model", encodeModel({ architecture, labels, weights, preprocessing, provenance }));
    if (evaluation) {
      const document = { ...evaluation, skipped: validationSkipped };
      await folder.write("evaluation", `${JSON.stringify(document, undefined, 2)}\n`);
    }
  }
  await folder.write("history", historyCsv(history));
  await folder.write("settings", writeConfig(inputs));
}
