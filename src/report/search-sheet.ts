import { jpegUrl } from "./data-url.ts";
import { html, type Markup } from "./html/markup.ts";
import { htmlPage } from "./html/page.ts";
import { bar, factList, type Section } from "./html/parts.ts";
import { withCommas } from "./number-text.ts";
import type { Fact } from "./training-report.ts";

/** An image on the sheet. */
export interface SheetImage {
  readonly file: string;
  /** Its class. */
  readonly label?: string | undefined;
  /** Undefined: the file is not where it was. */
  readonly jpeg?: Uint8Array | undefined;
}

export interface SheetNeighbor extends SheetImage {
  /** Cosine, −1 to 1. */
  readonly similarity: number;
}

/** What was looked for and what was found. */
export interface SearchSheet {
  readonly query: SheetImage;
  /** Nearest first. */
  readonly neighbors: readonly SheetNeighbor[];
  /** How many images were searched. */
  readonly searched: number;
  readonly facts: readonly Fact[];
}

/** The images nearest to one, as a page that needs nothing beside it: light or dark as the reader's system, fit to print. */
export function renderSearchSheet({ query, neighbors, searched, facts }: SearchSheet): string {
  const sections: Section[] = [
    {
      id: "query",
      title: "The image",
      body: html`<div class="query">${image(query)}${factList(facts)}</div>`,
    },
    {
      id: "nearest",
      title: "The most similar",
      body: html`<ol class="gallery photos">
${neighbors.map((neighbor, index) => card(neighbor, index + 1, query.label))}</ol>`,
    },
  ];
  const summary = summaryOf(query, neighbors, searched);
  return htmlPage({ kind: "Search", title: "Similar images", summary, sections, style });
}

function summaryOf({ label }: SheetImage, neighbors: readonly SheetNeighbor[], searched: number): string {
  const found = `The ${neighbors.length} most similar of ${withCommas(searched)} images.`;
  if (label === undefined) return found;
  const same = neighbors.filter((neighbor) => neighbor.label === label).length;
  return `${found} ${same} of them show the same class, ${label}.`;
}

function card({ similarity, ...shown }: SheetNeighbor, rank: number, wanted: string | undefined): Markup {
  const { file, label } = shown;
  const isSame = wanted !== undefined && label === wanted;
  const kind = wanted === undefined || label === undefined ? "unknown" : isSame ? "same" : "other";
  return html`<li class="${kind}" title="${file}">${image(shown)}
<p><strong>${rank}. ${label ?? lastOf(file)}</strong><span class="certainty">${bar(Math.max(0, similarity))} ${similarity.toFixed(3)}</span></p></li>\n`;
}

/** The folders, which are most often the same for all, would take the place of the name. */
function lastOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function image({ file, label, jpeg }: SheetImage): Markup {
  if (jpeg === undefined) return html`<div class="gone">not there any more</div>`;
  return html`<img src="${jpegUrl(jpeg)}" alt="${label === undefined ? file : `an image of class ${label}`}">`;
}

const style = `
.query{display:grid;grid-template-columns:minmax(140px,260px) 1fr;gap:28px;align-items:start}
.query img,.query .gone{width:100%;border-radius:12px}
.query img{display:block;aspect-ratio:1;object-fit:cover}
.photos img{padding:0;object-fit:cover;background:var(--line)}
.gone{display:flex;align-items:center;justify-content:center;aspect-ratio:1;padding:14px;color:var(--muted);background:var(--line);font-size:.86rem;text-align:center}
.photos p{border-color:var(--line)}
.photos .unknown p{border-color:var(--accent)}
.same p{border-color:var(--right)}.same strong{color:var(--right)}.same .bar span{background:var(--right)}
.other p{border-color:var(--second)}.other .bar span{background:var(--second)}
@media (max-width:640px){.query{grid-template-columns:1fr}.photos img{padding:0}}
`;
