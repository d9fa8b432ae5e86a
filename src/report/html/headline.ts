import type { EpochRecord } from "../../records.ts";
import { withCommas } from "../number-text.ts";
import type { TrainingReport } from "../training-report.ts";
import { formatDuration, formatPercent, formatRounded } from "./format.ts";
import { html, type Markup } from "./markup.ts";

interface Headline {
  readonly name: string;
  readonly value: string;
  readonly note?: string;
}

/** The few numbers one looks for first. */
export function renderHeadlines(report: TrainingReport): Markup {
  const cards = headlines(report).map(
    ({ name, value, note }) =>
      html`<div><dt>${name}</dt><dd>${value}${note === undefined ? undefined : html`<small>${note}</small>`}</dd></div>\n`,
  );
  return html`<dl class="headlines">
${cards}</dl>\n`;
}

function headlines({ evaluation, history, network }: TrainingReport): readonly Headline[] {
  const list: Headline[] = [];
  if (evaluation) {
    list.push({
      name: "Test accuracy",
      value: formatPercent(evaluation.top1),
      note: `of ${withCommas(evaluation.images)} images`,
    });
  }
  const map = evaluation?.meanAveragePrecision;
  if (map !== undefined) list.push({ name: "MAP@100", value: formatPercent(map), note: "mean over the classes" });
  if (history && history.length > 0) {
    const seconds = history.reduce((total, epoch) => total + epoch.seconds, 0);
    list.push(
      { name: "Training time", value: formatDuration(seconds), note: counted(history.length, "epoch") },
      { name: "Speed", value: formatRounded(meanRate(history)), note: "images per second" },
    );
  }
  if (network) {
    const { parameters, full } = network;
    list.push({
      name: "Parameters",
      value: formatRounded(parameters),
      note: full ? `${full.name}: ${formatRounded(full.parameters)}` : withCommas(parameters),
    });
  }
  return list;
}

/** Images per second over all epochs: every epoch shows as many, so the times for one image are averaged. */
function meanRate(history: readonly EpochRecord[]): number {
  return history.length / history.reduce((total, epoch) => total + 1 / epoch.imagesPerSecond, 0);
}

function counted(count: number, noun: string): string {
  return `${withCommas(count)} ${noun}${count === 1 ? "" : "s"}`;
}
