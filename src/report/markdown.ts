import { printableLine } from "../base/printable.ts";
import {
  type Cell,
  cellText,
  type ReportBlock,
  type ReportDocument,
  type Table,
  type TableColumn,
  table,
} from "./document.ts";

/**
 * Writes a report as GitHub-flavored Markdown: facts as lists, charts as the tables they are drawn from, galleries as tables.
 * Markup in names from files is escaped.
 */
export function toMarkdown(document: ReportDocument): string {
  const { title, summary, headlines = [] } = document;
  const sections = document.sections.filter((section) => section !== undefined);
  const blocks = [
    `# ${escaped(title)}`,
    ...(summary === undefined ? [] : [paragraphText(summary)]),
    ...(headlines.length === 0
      ? []
      : [list(headlines.map(({ name, value, note }) => ({ name, value: `${value}, ${note}` })))]),
    ...sections.flatMap((section) => [`## ${escaped(section.title)}`, ...section.blocks.flatMap(blockTexts)]),
  ];
  return `${blocks.join("\n\n").replaceAll("\u00a0", " ")}\n`;
}

function blockTexts(block: ReportBlock): readonly string[] {
  switch (block?.type) {
    case undefined:
      return [];
    case "paragraph":
      return [paragraphText(block.text)];
    case "heading":
      return [`### ${escaped(block.text)}`];
    case "facts":
      return [list(block.facts)];
    case "table":
      return tableTexts(block);
    case "chart":
      return blockTexts(block.asTable);
    case "figures":
      return block.blocks.flatMap(blockTexts);
    case "gallery": {
      const { title = "", headers, images } = block;
      const rows = images.map(({ file, label, note, score }) => [file, label, note, score]);
      return rows.length === 0 ? [] : tableTexts(table(title, ["File", ...headers], rows));
    }
    case "code": {
      // Longer than any run of backticks in it.
      const runs = block.lines.flatMap((line) => line.match(/`+/g) ?? []);
      const fence = "`".repeat(Math.max(3, ...runs.map(({ length }) => length + 1)));
      return [[`${fence}${block.language ?? ""}`, ...block.lines, fence].join("\n")];
    }
  }
}

function list(facts: readonly { readonly name: string; readonly value: string }[]): string {
  return facts.map(({ name, value }) => `- **${escaped(name)}**: ${escaped(value)}`).join("\n");
}

function tableTexts({ caption, columns, rows, summary = [], total, foldedAs }: Table): readonly string[] {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = ({ align }: TableColumn) => (align === "right" ? "---:" : "---");
  const all = [...rows, ...summary, ...(total ? [total] : [])];
  const text = [
    row(columns.map(({ header }) => escaped(header))),
    row(columns.map(rule)),
    ...all.map((cells) => row(cells.map(cellMarkdown))),
  ].join("\n");
  if (foldedAs === undefined) return caption === "" ? [text] : [paragraphText(caption), text];
  return [`<details><summary>${escaped(foldedAs)}</summary>`, text, "</details>"];
}

function cellMarkdown(cell: Cell): string {
  const isCode = typeof cell === "object" && cell.style === "code" && !/[`|\n]/.test(cell.text);
  return isCode ? `\`${printableLine(cell.text)}\`` : escaped(cellText(cell));
}

/** Escapes the start of a block, too: `# no heading`. */
function paragraphText(text: string): string {
  return escaped(text).replace(/^(\s*)([#+=-]|\d+(?=[.)]))/, "$1\\$2");
}

/** Escapes markup; underscores within words are none. */
function escaped(text: string): string {
  return printableLine(text)
    .replace(/[\\`*[\]<>|~]|&(?=#?\w+;)/g, "\\$&")
    .replace(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "\\_");
}
