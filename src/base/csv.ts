import { FormatError } from "./errors.ts";

/** One row of a CSV text. */
export interface CsvRow {
  /** Number of the line it starts on, from 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

/**
 * Parses CSV: comma-separated fields, quoted if they contain commas, quotes or line breaks. Lines end in LF or CRLF; a
 * byte order mark and empty lines are skipped.
 * @param where the text's name in errors.
 * @throws {FormatError} a quotation mark is inside a field or never closed; the message gives the line number.
 * @see https://www.rfc-editor.org/rfc/rfc4180
 */
export function* parseCsv(text: string, where: string): Generator<CsvRow, void, void> {
  const field = /(?:[ \t]*"([^"]*(?:""[^"]*)*)"[ \t]*|([^",\r\n]*))(,|\r?\n|$)/y;
  field.lastIndex = text.startsWith("\uFEFF") ? 1 : 0;
  let fields: string[] = [];
  let first = 1;
  let line = 1;
  while (field.lastIndex < text.length) {
    const start = field.lastIndex;
    const match = field.exec(text);
    if (!match) throw fieldError(text.slice(start), `${where}, line ${line}`);
    const [all, quoted, plain, end] = match as unknown as [string, string | undefined, string | undefined, string];
    fields.push(quoted?.replaceAll('""', '"') ?? plain ?? "");
    line += all.split("\n").length - 1;
    const isLast = field.lastIndex === text.length;
    if (end === "," && !isLast) continue;
    if (end === ",") fields.push("");
    if (fields.length > 1 || fields[0] !== "") yield { line: first, fields };
    fields = [];
    first = line;
  }
}

/**
 * Writes rows as CSV (RFC 4180), the header first. Numbers are written with all their digits and a decimal point, so
 * they read back unchanged; undefined becomes an empty field.
 */
export function csvText(rows: readonly (readonly (string | number | undefined)[])[]): string {
  return rows.map((row) => `${row.map((value) => quoteField(String(value ?? ""))).join(",")}\r\n`).join("");
}

function quoteField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function fieldError(rest: string, where: string): FormatError {
  const quotes = rest.split('"').length - 1;
  const isOpen = rest.trimStart().startsWith('"') && quotes % 2 === 1;
  return new FormatError({
    where,
    what: isOpen ? "a quoted field is never closed" : "a quotation mark or carriage return is inside a field",
    received: rest.slice(0, 40),
    expected: 'fields separated by commas, "in quotation marks" where needed',
  });
}
