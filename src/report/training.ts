import { csvText } from "../base/csv.ts";
import type { EpochRecord, EvaluatedImages } from "../base/records.ts";
import { accuracyChart, learningRateChart, lossChart, stepLossChart } from "./charts/curves.ts";
import { costSection } from "./cost.ts";
import {
  chart,
  factsOf,
  type Headline,
  numberColumn,
  paragraph,
  type Row,
  type Section,
  type Status,
  section,
  type Table,
  table,
} from "./document.ts";
import { evaluationSection, predictionGallery } from "./evaluation.ts";
import { healthSection } from "./health.ts";
import { toHtml } from "./html.ts";
import { imageUrl } from "./markup.ts";
import {
  counted,
  formatDuration,
  formatInterval,
  formatNumber,
  formatPercent,
  formatRounded,
  withCommas,
} from "./numbers.ts";
import type { GalleryItem, LiveStatus, TrainingReport } from "./training-report.ts";

/** Interval at which the page of a training run in progress reloads itself. */
const refreshSeconds = 15;
/** Number of layers whose cost is listed. */
const listedLayers = 12;
/** Most skipped files that are listed unfolded. */
const unfoldedFiles = 8;

/**
 * Writes a report on a training run or an evaluation as one HTML file, see `toHtml`; during training it reloads itself. Parts
 * without data are left out.
 */
export function renderReport(report: TrainingReport): Promise<string> {
  const { kind = "Training report", title, summary, live, validation, test, health = [], cost } = report;
  const evaluation = test ?? validation ?? report.evaluation;
  const images = test ? "test" : validation && "validation";
  return toHtml({
    ...{ kind, title, summary },
    status: live && statusOf(live),
    headlines: headlinesOf(report),
    sections: [
      setupSection(report),
      curvesSection(report),
      evaluation && evaluationSection(evaluation, images),
      gallerySection(report),
      healthSection(health),
      cost && costSection(cost, listedLayers),
      skippedSection(report),
      reproductionSection(report),
    ],
  });
}

const historyColumns = {
  epoch: "epoch",
  loss: "loss",
  accuracy: "accuracy",
  validation_loss: "validationLoss",
  validation_accuracy: "validationAccuracy",
  validation_map100: "validationPrecision",
  learning_rate: "learningRate",
  images_per_second: "imagesPerSecond",
  seconds: "seconds",
} as const satisfies Record<string, keyof EpochRecord>;

/** Writes `history.csv`: a header, then one line per epoch; mean average precision only if there is one. */
export function historyCsv(history: readonly EpochRecord[]): string {
  const hasPrecision = history.some(({ validationPrecision }) => validationPrecision !== undefined);
  const shown = Object.entries(historyColumns).filter(([, key]) => hasPrecision || key !== "validationPrecision");
  return csvText([shown.map(([header]) => header), ...history.map((record) => shown.map(([, key]) => record[key]))]);
}

function statusOf({ epoch, epochs, step, steps, loss, accuracy, secondsLeft, time }: LiveStatus): Status {
  return {
    text: `epoch ${epoch} of ${epochs}, step ${withCommas(step)} of ${withCommas(steps)}; about ${formatDuration(secondsLeft)} to go`,
    detail: `Loss ${formatNumber(loss)}, accuracy ${formatPercent(accuracy)} in this epoch. Written at ${time}; this page reloads itself during training.`,
    share: Math.min(1, (epoch - 1 + step / steps) / epochs),
    refreshSeconds,
  };
}

function headlinesOf(report: TrainingReport): readonly Headline[] {
  const { test, validation, evaluation, history = [], network } = report;
  const evaluated = { "Test accuracy": test, "Validation accuracy": validation, Accuracy: evaluation };
  const headlines: Headline[] = [];
  for (const [name, each] of Object.entries(evaluated)) {
    if (each === undefined) continue;
    const { top1, top1Interval, images } = each;
    const interval = top1Interval ? `; 95\u00a0% interval ${formatInterval(top1Interval)}` : "";
    headlines.push({ name, value: formatPercent(top1), note: `of ${counted(images, "image")}${interval}` });
  }
  const map = (test ?? validation ?? evaluation)?.meanAveragePrecision;
  if (map !== undefined) headlines.push({ name: "MAP@100", value: formatPercent(map), note: "mean over the classes" });
  if (history.length > 0) {
    const total = (value: (record: EpochRecord) => number) => history.reduce((sum, record) => sum + value(record), 0);
    // All epochs have equally many images, so the harmonic mean is the overall rate.
    const rate = history.length / total(({ imagesPerSecond }) => 1 / imagesPerSecond);
    const epochs = counted(history.length, "epoch");
    headlines.push(
      { name: "Training time", value: formatDuration(total(({ seconds }) => seconds)), note: epochs },
      { name: "Speed", value: formatRounded(rate), note: "images per second" },
    );
  }
  if (network) {
    const { parameters, full } = network;
    const note = full ? `${full.name}: ${formatRounded(full.parameters)}` : withCommas(parameters);
    headlines.push({ name: "Parameters", value: formatRounded(parameters), note });
  }
  return headlines;
}

function setupSection({ network, settings = [] }: TrainingReport): Section | undefined {
  const { parameters, full } = network ?? {};
  const sizes = {
    Parameters: parameters === undefined ? undefined : withCommas(parameters),
    ...(full && { [`Parameters of ${full.name}`]: withCommas(full.parameters) }),
  };
  const facts = [...factsOf(sizes), ...settings];
  if (facts.length === 0) return undefined;
  const title = settings.length > 0 ? "Training setup" : "The network";
  return section("settings", title, { type: "facts", facts });
}

/** Curves of loss, accuracy and learning rate, and their numbers. */
function curvesSection({ history = [], steps = [] }: TrainingReport): Section | undefined {
  const hasSteps = steps.length >= 2;
  if (history.length === 0 && !hasSteps) return undefined;
  const isValidated = history.some(({ validationLoss }) => validationLoss !== undefined);
  const loss = "Loss: lower is better. Training includes augmentation and dropout";
  const curves = [
    chart(isValidated ? `${loss}, validation does not.` : `${loss}.`, () => lossChart(history)),
    chart("Accuracy: the share of images classified correctly.", () => accuracyChart(history)),
    chart("Learning rate at the end of each epoch.", () => learningRateChart(history)),
  ];
  const stepLoss = chart("Loss of single steps, with augmentation and dropout.", () => stepLossChart(steps));
  return section(
    "curves",
    "Training curves",
    {
      type: "figures",
      layout: hasSteps ? "curves four" : "curves",
      blocks: [...(history.length > 0 ? curves : []), hasSteps ? stepLoss : undefined],
    },
    history.length > 0 ? historyTable(history) : undefined,
  );
}

function historyTable(history: readonly EpochRecord[]): Table {
  const headers = ["Epoch", "Loss", "Accuracy", "Validation loss", "Validation accuracy", "Learning rate"];
  return table(
    "Training, epoch by epoch",
    [...headers, "Images/s", "Time"].map(numberColumn),
    history.map(({ epoch, loss, accuracy, validationLoss, validationAccuracy, ...record }) => [
      ...[`${epoch}`, formatNumber(loss), formatPercent(accuracy)],
      validationLoss === undefined ? "–" : formatNumber(validationLoss),
      validationAccuracy === undefined ? "–" : formatPercent(validationAccuracy),
      ...[formatNumber(record.learningRate), formatNumber(record.imagesPerSecond), formatDuration(record.seconds)],
    ]),
    { foldedAs: "Metrics of every epoch" },
  );
}

/** Evaluated images with their predictions. */
function gallerySection({ gallery }: TrainingReport): Section | undefined {
  if (gallery === undefined || gallery.wrong.length + gallery.right.length === 0) return undefined;
  const { images, epoch, wrong, right } = gallery;
  const withUrl = (items: readonly GalleryItem[]) =>
    items.map((item) => ({
      ...{ ...item, url: imageUrl("png", item.png) },
      evidenceUrl: item.evidence && imageUrl("png", item.evidence),
    }));
  const isExplained = wrong.some(({ evidence }) => evidence !== undefined);
  return section(
    "gallery",
    "Predictions",
    images === undefined ? undefined : paragraph(galleryText(images, epoch)),
    predictionGallery("wrong", withUrl(wrong)),
    isExplained ? paragraph(evidenceText) : undefined,
    predictionGallery("right", withUrl(right)),
  );
}

const evidenceText =
  "Beside each misclassified image: where the network found evidence of the class that it predicted (Grad-CAM). Colors are " +
  "relative to the strongest evidence in the same image.";

function galleryText(images: EvaluatedImages, epoch: number | undefined): string {
  const kind = images === "test" ? "Test images" : "Validation images";
  return epoch === undefined ? `${kind}.` : `${kind}, as classified after epoch ${epoch}.`;
}

function skippedSection({ skipped = [] }: TrainingReport): Section | undefined {
  if (skipped.length === 0) return undefined;
  const rows = skipped.map(({ file, reason }): Row => [{ text: file, style: "code" }, reason]);
  const foldedAs =
    skipped.length <= unfoldedFiles ? undefined : `${counted(skipped.length, "file was", "files were")} skipped`;
  const files = table("Files that cannot be used", ["File", "Reason"], rows, { foldedAs });
  return section("skipped", "Skipped files", files);
}

function reproductionSection({ reproduction }: TrainingReport): Section | undefined {
  if (reproduction === undefined) return undefined;
  const { commands, facts = [] } = reproduction;
  return section(
    "reproduce",
    "How to reproduce it",
    { type: "code", lines: commands },
    facts.length > 0 ? { type: "facts", facts } : undefined,
  );
}
