import { pngUrl } from "../data-url.ts";
import type { GalleryItem, TrainingReport } from "../training-report.ts";
import { formatPercent } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { bar, type Section } from "./parts.ts";

/** Test images with what the network took them for. */
export function gallerySection({ gallery }: TrainingReport): Section | undefined {
  if (gallery === undefined || gallery.wrong.length + gallery.right.length === 0) return undefined;
  return {
    id: "gallery",
    title: "What it sees",
    body: html`${gallery.epoch === undefined ? undefined : html`<p>As tested after epoch ${gallery.epoch}.</p>\n`}${group("Wrong answers, the most certain first", "wrong", gallery.wrong)}
${group("Right answers", "right", gallery.right)}`,
  };
}

type Verdict = "wrong" | "right";

function group(title: string, verdict: Verdict, items: readonly GalleryItem[]): Markup | undefined {
  if (items.length === 0) return undefined;
  return html`<h3>${title}</h3>
<ul class="gallery ${verdict}">
${items.map((item) => card(item, verdict))}</ul>\n`;
}

function card({ file, truth, predicted, probability, truthProbability, png }: GalleryItem, verdict: Verdict): Markup {
  const answer = verdict === "right" ? html`✓ ${predicted}` : html`✗ ${predicted}`;
  const correction =
    verdict === "right" ? undefined : html`<span class="truth">is ${truth} (${formatPercent(truthProbability)})</span>`;
  return html`<li title="${file}"><img src="${pngUrl(png)}" alt="an image of class ${truth}">
<p><strong>${answer}</strong>${correction}<span class="certainty">${bar(probability)} ${formatPercent(probability)}</span></p></li>\n`;
}
