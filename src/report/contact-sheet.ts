import { html, imageUrl, Markup } from "./markup.ts";

/** An image with its captions, each wrapped to as many lines as it needs. */
export interface SheetCell {
  readonly png: Uint8Array;
  readonly caption: readonly SheetCaption[];
}

/** A caption; bold if `isStrong`. */
export interface SheetCaption {
  readonly text: string;
  readonly isStrong?: boolean;
}

/** Images in rows and columns. */
export interface ContactSheet {
  readonly title: string;
  readonly subtitle: string;
  /** One heading for each column. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SheetCell[])[];
  /** Height divided by width of all images. */
  readonly aspect: number;
}

// In pixels. The width of letters is an estimate, since fonts differ.
const margin = 20;
const gap = 14;
const imageWidth = 150;
const fontSize = 11;
const lineHeight = 14;
const letterWidth = 6.2;
const headerHeight = 84;

/** Renders a contact sheet as SVG with embedded images; deterministic. */
export function drawContactSheet({ title, subtitle, columns, rows, aspect }: ContactSheet): string {
  const width = 2 * margin + columns.length * (imageWidth + gap) - gap;
  const imageHeight = Math.round(imageWidth * aspect);
  const headings = columns.map((heading, column) => line(leftOf(column), headerHeight - 8, heading, true, 12));
  const images: Markup[] = [];
  let top = headerHeight;
  for (const row of rows) {
    const captions = row.map(({ caption }) => caption.flatMap(breakLines));
    for (const [column, { png }] of row.entries()) {
      const left = leftOf(column);
      images.push(
        html`<image x="${left}" y="${top}" width="${imageWidth}" height="${imageHeight}" href="${new Markup(imageUrl("png", png))}"/>\n`,
        ...captions[column]!.map(({ text, isStrong }, index) =>
          line(left, top + imageHeight + lineHeight * (index + 1), text, isStrong),
        ),
      );
    }
    top += imageHeight + lineHeight * Math.max(...captions.map(({ length }) => length)) + 2 * gap;
  }
  const height = top + margin - gap;
  return html`<svg width="${width}pt" height="${height}pt" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">
<rect width="${width}" height="${height}" fill="#ffffff"/>
${line(margin, 30, title, true, 16)}${line(margin, 48, subtitle, false)}${headings}${images}</svg>
`.text;
}

function leftOf(column: number): number {
  return margin + column * (imageWidth + gap);
}

function line(x: number, y: number, text: string, isStrong: boolean, size = fontSize): Markup {
  const [color, weight] = isStrong ? ["#111111", "bold"] : ["#555555", "normal"];
  return html`<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${color}">${text}</text>\n`;
}

/** Wraps at spaces, and inside words that are longer than a line. */
function breakLines({ text, isStrong = false }: SheetCaption): { text: string; isStrong: boolean }[] {
  const longest = Math.floor(imageWidth / (letterWidth * (isStrong ? 1.12 : 1)));
  const words = text.match(new RegExp(`[^ ]{1,${longest}}`, "gu")) ?? [];
  const lines: string[] = [];
  for (const word of words) {
    const extended = `${lines.at(-1) ?? ""} ${word}`.trim();
    if (lines.length > 0 && extended.length <= longest) lines[lines.length - 1] = extended;
    else lines.push(word);
  }
  return lines.map((broken) => ({ text: broken, isStrong }));
}
