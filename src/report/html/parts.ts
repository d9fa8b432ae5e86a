import type { Fact } from "../training-report.ts";
import { type Content, html, Markup } from "./markup.ts";

/** One part of the report; the list of contents at its top is made of them. */
export interface Section {
  /** Its address within the page. */
  readonly id: string;
  readonly title: string;
  readonly body: Markup;
}

export interface TableColumn {
  readonly header: string;
  /** Numbers go to the right; default left. */
  readonly align?: "right";
}

/** A table whose first column names its rows; wide ones scroll by themselves, so that the page never does. */
export function table(
  caption: string,
  columns: readonly TableColumn[],
  rows: readonly (readonly Content[])[],
  footer: readonly Content[] = [],
  /** Rows that sum up the others, set apart from them. */
  summary: readonly (readonly Content[])[] = [],
): Markup {
  const cell = (content: Content, index: number) => html`<td${rightAligned(columns[index])}>${content}</td>`;
  const row = ([name, ...cells]: readonly Content[]) =>
    html`<tr><th scope="row">${name}</th>${cells.map((content, index) => cell(content, index + 1))}</tr>\n`;
  const header = columns.map((column) => html`<th scope="col"${rightAligned(column)}>${column.header}</th>`);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${header}</tr></thead>
<tbody>
${rows.map(row)}</tbody>
${summary.length > 0 ? html`<tbody class="summary">\n${summary.map(row)}</tbody>\n` : undefined}${footer.length > 0 ? html`<tfoot>${row(footer)}</tfoot>\n` : undefined}</table></div>\n`;
}

function rightAligned(column: TableColumn | undefined): Markup | undefined {
  return column?.align === "right" ? html` class="number"` : undefined;
}

/** Names and values, side by side where there is room. */
export function factList(facts: readonly Fact[]): Markup {
  const rows = facts.map(({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>\n`);
  return html`<dl class="facts">
${rows}</dl>\n`;
}

/** A drawing with a line of text under it. */
export function figure(svg: string, caption: Content): Markup {
  // Inside HTML an SVG element needs no namespaces, and without them the file contains no address at all.
  const inline = new Markup(svg.replace(/ xmlns(:\w+)?="[^"]*"/g, ""));
  return html`<figure><div class="drawing">${inline}</div><figcaption>${caption}</figcaption></figure>\n`;
}

/** A bar from 0 to 1 beside a number that says the same. */
export function bar(fraction: number): Markup {
  return html`<span class="bar" aria-hidden="true"><span style="width:${(100 * fraction).toFixed(1)}%"></span></span>`;
}

/** Detail that stays folded until asked for. */
export function folded(summary: string, content: Markup): Markup {
  return html`<details><summary>${summary}</summary>${content}</details>\n`;
}
