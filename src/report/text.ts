import { printable, printableLine } from "../base/printable.ts";
import {
  cellText,
  type ImageGallery,
  numberColumn,
  type ReportBlock,
  type ReportDocument,
  type Table,
  type TableColumn,
  table,
} from "./document.ts";

/**
 * Writes a report as plain text: one line per fact, tables in box characters, charts as the tables they are drawn from.
 * @param options.width of the text in characters, default 100; long lines and cells are wrapped.
 */
export function toText(document: ReportDocument, options: { readonly width?: number } = {}): string {
  const { title, summary, status, headlines = [] } = document;
  const { width = 100 } = options;
  const sections = document.sections.filter((section) => section !== undefined);
  const lines = [
    title,
    ...(summary === undefined ? [] : wrap(summary, width)),
    ...(status ? [`Training now: ${status.text}`, status.detail] : []),
    ...headlines.map(({ name, value, note }) => ` ${name}: ${value}, ${note}`),
    ...sections.flatMap((section) => [
      // A report with one section needs no heading besides its title.
      ...(sections.length > 1 ? ["", section.title] : []),
      ...section.blocks.flatMap((block) => blockLines(block, width)),
    ]),
  ];
  return printable(lines.join("\n").replaceAll("\u00a0", " "));
}

function blockLines(block: ReportBlock, width: number): string[] {
  switch (block?.type) {
    case undefined:
      return [];
    case "paragraph":
    case "heading":
      return wrap(block.text, width);
    case "facts":
      return block.facts.flatMap(({ name, value }) =>
        wrap(printableLine(`${name}: ${value}`), width - 1).map((line) => ` ${line}`),
      );
    case "table":
      return [...wrap(block.caption, width), textTable(block.columns, rowsOf(block), width)];
    case "chart":
      return blockLines(block.asTable, width);
    case "figures":
      return block.blocks.flatMap((each) => blockLines(each, width));
    case "gallery":
      return blockLines(galleryTable(block), width);
    case "code":
      return block.lines.map((line) => `  ${line}`);
  }
}

function rowsOf({ rows, summary = [], total }: Table): string[][] {
  const all = [...rows, ...summary, ...(total ? [total] : [])];
  return all.map((row) => row.map((cell) => cellText(cell).replaceAll("\u00a0", " ")));
}

function galleryTable({ title = "", headers, images }: ImageGallery): Table | undefined {
  if (images.length === 0) return undefined;
  const [label, note, score] = headers;
  const rows = images.map((image) => [image.file, image.label, image.note, image.score]);
  return table(title, ["File", label, note, numberColumn(score)], rows);
}

/** Indent of continuation lines, which distinguishes them from rows. */
const continuation = "  ";

/**
 * Draws a table with box characters, no line wider than `width` characters. Cells that do not fit are wrapped, preferably at
 * spaces. Columns have at least 4 characters, and whole ones are not narrowed even if the table becomes
 * wider.
 */
export function textTable(
  columns: readonly TableColumn[],
  cells: readonly (readonly string[])[],
  width: number,
): string {
  const rows = cells.map((row) => row.map(printableLine));
  const widths = fitColumns(columns, rows, width);
  const draw = (cells: readonly string[], bar: string): string[] => {
    const lines = cells.map((cell, index) => wrap(cell, widths[index]!));
    const height = Math.max(...lines.map((each) => each.length));
    return Array.from({ length: height }, (_, row) => {
      const padded = lines.map((each, index) => pad(each[row] ?? "", widths[index]!, columns[index]!.align));
      return `${bar} ${padded.join(` ${bar} `)} ${bar}`;
    });
  };
  const rule = (left: string, middle: string, right: string, line: string): string =>
    left + widths.map((each) => line.repeat(each + 2)).join(middle) + right;
  const header = columns.map((column) => column.header);
  return [
    rule("┏", "┳", "┓", "━"),
    ...draw(header, "┃"),
    rule("┡", "╇", "┩", "━"),
    ...rows.flatMap((row) => draw(row, "│")),
    rule("└", "┴", "┘", "─"),
  ].join("\n");
}

/** Widths of the columns: those of their cells if they fit, else narrowed where it costs the fewest lines. */
function fitColumns(columns: readonly TableColumn[], rows: readonly (readonly string[])[], width: number): number[] {
  const cells = columns.map(({ header }, index) => [header, ...rows.map((row) => row[index]!)]);
  const widths = cells.map((each) => Math.max(...each.flatMap((cell) => cell.split("\n").map(({ length }) => length))));
  const available = width - 3 * columns.length - 1;
  while (sum(widths) > available) {
    const prices = columns.map((column, index) =>
      column.whole || widths[index]! <= 4 ? Infinity : wrapPrice(cells[index]!, widths[index]! - 1),
    );
    const cheapest = Math.min(...prices);
    if (cheapest === Infinity) break;
    widths[prices.indexOf(cheapest)]! -= 1;
  }
  return widths;
}

/** Cost of wrapping cells at this width: 1 for each extra line, 10 for each word that must be cut. */
function wrapPrice(cells: readonly string[], width: number): number {
  return sum(
    cells.map((cell) => {
      const cut = cell.split(/\s/).filter((word) => word.length > width).length;
      return wrap(cell, width).length - 1 + 10 * cut;
    }),
  );
}

function wrap(cell: string, width: number): string[] {
  return cell.split("\n").flatMap((line) => {
    const lines: string[] = [];
    let current = "";
    for (const word of line.split(" ")) {
      const joined = current === "" ? word : `${current} ${word}`;
      if (joined.length <= width) {
        current = joined;
        continue;
      }
      if (current !== "") lines.push(current);
      current = lines.length > 0 && continuation.length + word.length <= width ? continuation + word : word;
      while (current.length > width) {
        lines.push(current.slice(0, width));
        current = current.slice(width);
      }
    }
    return [...lines, current];
  });
}

function pad(text: string, width: number, align: TableColumn["align"]): string {
  return align === "right" ? text.padStart(width) : text.padEnd(width);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
