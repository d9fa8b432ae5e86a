import { costSection } from "./html-cost.ts";
import { evaluationSection } from "./html-evaluation.ts";
import { gallerySection } from "./html-gallery.ts";
import { renderHeadlines } from "./html-headline.ts";
import { html, Markup } from "./html-markup.ts";
import { reproductionSection, skippedSection } from "./html-reproduction.ts";
import { reportStyle } from "./html-style.ts";
import { curvesSection, settingsSection } from "./html-training.ts";
import type { TrainingReport } from "./training-report.ts";

/**
 * Writes a report on a training run as one HTML file that needs nothing beside it: no script, no address, pictures and
 * styles inside. It follows the reader's light or dark theme, fits a phone and prints. The same data give the same
 * bytes.
 */
export async function renderReport(report: TrainingReport): Promise<string> {
  const candidates = [
    settingsSection(report),
    await curvesSection(report),
    await evaluationSection(report),
    gallerySection(report),
    costSection(report),
    skippedSection(report),
    reproductionSection(report),
  ];
  const sections = candidates.filter((section) => section !== undefined);
  const contents = sections.map(({ id, title }) => html`<a href="#${id}">${title}</a>\n`);
  const bodies = sections.map(
    ({ id, title, body }) => html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${body}</section>\n`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>${report.title}</title>
<style>${new Markup(reportStyle())}</style>
</head>
<body>
<header>
<p class="kind">${report.kind ?? "Training report"}</p>
<h1>${report.title}</h1>
${report.summary === undefined ? undefined : html`<p class="summary">${report.summary}</p>\n`}${renderHeadlines(report)}<nav aria-label="Contents">${contents}</nav>
</header>
<main>
${bodies}</main>
<footer>Made with xception-ts.</footer>
</body>
</html>
`.text;
}
