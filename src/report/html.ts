import {
  type Cell,
  cellText,
  type Facts,
  type GalleryImage,
  type Headline,
  type ImageGallery,
  type ReportBlock,
  type ReportDocument,
  type Row,
  type Section,
  type Status,
  type Table,
  type TableColumn,
} from "./document.ts";
import { type Content, html, Markup } from "./markup.ts";
import { reportStyle } from "./style.ts";

/**
 * Writes a report as one self-contained HTML file, without scripts or URLs. It follows the reader's light or dark theme, fits a
 * phone and prints. The same document gives the same bytes.
 */
export async function toHtml(document: ReportDocument): Promise<string> {
  const { kind, title, summary, status, headlines = [] } = document;
  const sections = document.sections.filter((section) => section !== undefined);
  const bodies: Markup[] = [];
  for (const section of sections) bodies.push(await sectionMarkup(section));
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
${status && html`<meta http-equiv="refresh" content="${status.refreshSeconds}">\n`}<link rel="icon" href="data:,">
<title>${title}</title>
<style>${new Markup(reportStyle())}</style>
</head>
<body>
<header>
${kind && html`<p class="kind">${kind}</p>\n`}<h1>${title}</h1>
${summary === undefined ? undefined : html`<p class="summary">${summary}</p>\n`}${status && statusMarkup(status)}<dl class="headlines">
${headlines.map(headlineMarkup)}</dl>
<nav aria-label="Contents">${sections.map((section) => html`<a href="#${section.id}">${section.title}</a>\n`)}</nav>
</header>
<main>
${bodies}</main>
<footer>Made with xception-ts.</footer>
</body>
</html>
`.text;
}

async function sectionMarkup({ id, title, blocks }: Section): Promise<Markup> {
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${await blockMarkups(blocks)}</section>\n`;
}

/** Renders sequentially, since charts share a drawing engine. */
async function blockMarkups(blocks: readonly ReportBlock[]): Promise<Content[]> {
  const markups: Content[] = [];
  for (const block of blocks) markups.push(await blockMarkup(block));
  return markups;
}

async function blockMarkup(block: ReportBlock): Promise<Content> {
  switch (block?.type) {
    case undefined:
      return undefined;
    case "paragraph": {
      const { text, style } = block;
      const name = style === undefined || style === "lead" ? style : `verdict ${style}`;
      return html`<p${name && html` class="${name}"`}>${text}</p>\n`;
    }
    case "heading":
      return html`<h3>${block.text}</h3>\n`;
    case "facts":
      return factsMarkup(block);
    case "table":
      return tableMarkup(block);
    case "chart": {
      // Inside HTML, SVG needs no namespaces; without them the file contains no URL.
      const drawing = new Markup((await block.draw()).replace(/ xmlns(:\w+)?="[^"]*"/g, ""));
      return html`<figure><div class="drawing">${drawing}</div><figcaption>${block.caption}</figcaption></figure>\n`;
    }
    case "figures":
      return html`<div class="figures ${block.layout}">\n${await blockMarkups(block.blocks)}</div>\n`;
    case "gallery":
      return galleryMarkup(block);
    case "code":
      return html`<pre tabindex="0"><code>${block.lines.join("\n")}</code></pre>\n`;
  }
}

function headlineMarkup({ name, value, note }: Headline): Markup {
  return html`<div><dt>${name}</dt><dd>${value}<small>${note}</small></dd></div>\n`;
}

function statusMarkup({ text, detail, share }: Status): Markup {
  return html`<div class="live" role="status">
<p><strong>Training now:</strong> ${text}</p>
${bar(share)}
<p class="detail">${detail}</p>
</div>\n`;
}

function factsMarkup({ facts, image }: Facts): Markup {
  const rows = facts.map(({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>\n`);
  const list = html`<dl class="facts">\n${rows}</dl>\n`;
  return image ? html`<div class="query">${imageMarkup(image)}${list}</div>\n` : list;
}

/** Wide tables scroll by themselves instead of the page. */
function tableMarkup({ caption, columns, rows, summary = [], total, foldedAs }: Table): Markup {
  const row = ([name, ...cells]: Row) =>
    html`<tr><th scope="row">${cellMarkup(name)}</th>${cells.map((cell, index) => html`<td${rightAligned(columns[index + 1])}>${cellMarkup(cell)}</td>`)}</tr>\n`;
  const header = columns.map((column) => html`<th scope="col"${rightAligned(column)}>${column.header}</th>`);
  const table = html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${header}</tr></thead>
<tbody>
${rows.map(row)}</tbody>
${summary.length > 0 ? html`<tbody class="summary">\n${summary.map(row)}</tbody>\n` : undefined}${total && html`<tfoot>${row(total)}</tfoot>\n`}</table></div>\n`;
  return foldedAs === undefined ? table : html`<details><summary>${foldedAs}</summary>${table}</details>\n`;
}

function rightAligned(column: TableColumn | undefined): Markup | undefined {
  return column?.align === "right" ? html` class="number"` : undefined;
}

function cellMarkup(cell: Cell): Markup {
  if (typeof cell !== "object") return html`${cellText(cell)}`;
  const { text, share, style } = cell;
  if (style === "code") return html`<code>${text}</code>`;
  if (style === "warning") return html`<strong class="warning">${text}</strong>`;
  return share === undefined ? html`${text}` : html`${text} ${bar(share)}`;
}

function galleryMarkup({ title, style = "photos", images }: ImageGallery): Content {
  if (images.length === 0) return undefined;
  return html`${title && html`<h3>${title}</h3>\n`}<ul class="gallery ${style}">
${images.map(cardMarkup)}</ul>\n`;
}

function cardMarkup(image: GalleryImage): Markup {
  const { file, label, note, share, score, style, beside, similar } = image;
  const shown = beside ? html`<div class="two">${imageMarkup(image)}${imageMarkup(beside)}</div>` : imageMarkup(image);
  const certainty = share === undefined ? undefined : html`<span class="certainty">${bar(share)} ${score}</span>`;
  return html`<li${style && html` class="${style}"`} title="${file}">${shown}
<p><strong>${label}</strong>${note && html`<span class="truth">${note}</span>`}${certainty}</p>${similar && similarMarkup(similar)}</li>\n`;
}

function similarMarkup(images: NonNullable<GalleryImage["similar"]>): Markup {
  return html`
<div class="similar">${images.map((each) => html`<figure>${imageMarkup(each)}<figcaption>${each.label}</figcaption></figure>`)}</div>`;
}

function imageMarkup({ url, alt }: Pick<GalleryImage, "url" | "alt">): Markup {
  if (url === undefined) return html`<div class="gone">file not found</div>`;
  return html`<img src="${url}" alt="${alt}">`;
}

/** A bar from 0 to 1, next to the same value as a number. */
function bar(share: number): Markup {
  return html`<span class="bar" aria-hidden="true"><span style="width:${(100 * share).toFixed(1)}%"></span></span>`;
}
