import type { TrainingReport } from "../training-report.ts";
import { costSection } from "./cost.ts";
import { evaluationSection } from "./evaluation.ts";
import { gallerySection } from "./gallery.ts";
import { renderHeadlines } from "./headline.ts";
import { healthSection } from "./health.ts";
import { liveStatus, refreshSeconds } from "./live.ts";
import { html } from "./markup.ts";
import { htmlPage } from "./page.ts";
import { reproductionSection, skippedSection } from "./reproduction.ts";
import { curvesSection, settingsSection } from "./training.ts";

/**
 * Writes a report on a training run as one HTML file that needs nothing beside it: no script, no address, images and
 * styles inside. While the training goes on it loads itself again. It follows the reader's light or dark theme, fits a
 * phone and prints. The same data give the same bytes.
 */
export async function renderReport(report: TrainingReport): Promise<string> {
  const candidates = [
    settingsSection(report),
    await curvesSection(report),
    await evaluationSection(report),
    gallerySection(report),
    await healthSection(report),
    costSection(report),
    skippedSection(report),
    reproductionSection(report),
  ];
  const sections = candidates.filter((section) => section !== undefined);
  const { kind = "Training report", title, summary, live } = report;
  const headlines = html`${live && liveStatus(live)}${renderHeadlines(report)}`;
  return htmlPage({ kind, title, summary, headlines, sections, refreshSeconds: live && refreshSeconds });
}
