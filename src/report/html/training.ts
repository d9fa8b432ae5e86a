import type { EpochRecord } from "../../records.ts";
import { accuracyChart, learningRateChart, lossChart, stepLossChart } from "../charts/history.ts";
import { withCommas } from "../number-text.ts";
import type { NetworkSize, TrainingReport } from "../training-report.ts";
import { formatDuration, formatNumber, formatPercent } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { factList, figure, folded, type Section, table } from "./parts.ts";

/** What was trained, and how. */
export function settingsSection({ network, settings = [] }: TrainingReport): Section | undefined {
  const facts = [...(network ? networkFacts(network) : []), ...settings];
  if (facts.length === 0) return undefined;
  const title = settings.length > 0 ? "What was trained" : "The network";
  return { id: "settings", title, body: factList(facts) };
}

function networkFacts({ parameters, full }: NetworkSize) {
  return [
    { name: "Parameters", value: withCommas(parameters) },
    ...(full ? [{ name: `Parameters of ${full.name}`, value: withCommas(full.parameters) }] : []),
  ];
}

/** The curves of loss, accuracy and learning rate, and their numbers. */
export async function curvesSection({ history = [], steps = [] }: TrainingReport): Promise<Section | undefined> {
  if (history.length === 0 && steps.length < 2) return undefined;
  return {
    id: "curves",
    title: "Training curves",
    body: html`<div class="figures curves${steps.length < 2 ? "" : " four"}">
${history.length > 0 ? await epochFigures(history) : undefined}
${steps.length < 2 ? undefined : figure(await stepLossChart(steps), "Loss of single steps, with augmentation and dropout.")}
</div>
${history.length > 0 ? folded("The numbers of every epoch", historyTable(history)) : undefined}`,
  };
}

async function epochFigures(history: readonly EpochRecord[]): Promise<Markup> {
  return html`${figure(await lossChart(history), lossCaption(history))}
${figure(await accuracyChart(history), "Accuracy: the share of images classified rightly.")}
${figure(await learningRateChart(history), "Learning rate at the end of each epoch.")}`;
}

function lossCaption(history: readonly EpochRecord[]): string {
  const isValidated = history.some(({ validationLoss }) => validationLoss !== undefined);
  const training = "Loss: lower is better. Training includes augmentation and dropout";
  return isValidated ? `${training}, validation does not.` : `${training}.`;
}

function historyTable(history: readonly EpochRecord[]) {
  const headers = ["Epoch", "Loss", "Accuracy", "Validation loss", "Validation accuracy", "Learning rate"];
  return table(
    "Training, epoch by epoch",
    [...headers, "Images/s", "Time"].map((header) => ({ header, align: "right" })),
    history.map((record) => [
      record.epoch,
      formatNumber(record.loss),
      formatPercent(record.accuracy),
      record.validationLoss === undefined ? "–" : formatNumber(record.validationLoss),
      record.validationAccuracy === undefined ? "–" : formatPercent(record.validationAccuracy),
      formatNumber(record.learningRate),
      formatNumber(record.imagesPerSecond),
      formatDuration(record.seconds),
    ]),
  );
}
