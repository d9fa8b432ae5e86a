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
  // No regular expression spans a field: on a long one it would exhaust the stack.
  const special = /[",\r\n]/g;
  let place = text.startsWith("\uFEFF") ? 1 : 0;
  let fields: string[] = [];
  let first = 1;
  let line = 1;
  while (place < text.length) {
    const start = place;
    place = skipBlanks(text, place);
    const isQuoted = text[place] === '"';
    const open = place + 1;
    if (isQuoted) place = closingQuote(text, open);
    else {
      special.lastIndex = place;
      place = special.exec(text)?.index ?? text.length;
    }
    if (isQuoted && place === text.length) {
      throw fieldError("a quoted field is never closed", text.slice(start), `${where}, line ${line}`);
    }
    const value = isQuoted ? text.slice(open, place).replaceAll('""', '"') : text.slice(start, place);
    if (isQuoted) place = skipBlanks(text, place + 1);
    const end = text.startsWith("\r\n", place) ? "\r\n" : text.slice(place, place + 1);
    if (!["", ",", "\n", "\r\n"].includes(end)) {
      const what = "a quotation mark or carriage return is inside a field";
      throw fieldError(what, text.slice(start), `${where}, line ${line}`);
    }
    place += end.length;
    fields.push(value);
    line += text.slice(start, place).split("\n").length - 1;
    const isLast = place === text.length;
    if (end === "," && !isLast) continue;
    if (end === ",") fields.push("");
    if (fields.length > 1 || fields[0] !== "") yield { line: first, fields };
    fields = [];
    first = line;
  }
}

function skipBlanks(text: string, from: number): number {
  let place = from;
  while (text[place] === " " || text[place] === "\t") place++;
  return place;
}

/** Position of the quotation mark that closes a field, the text's length if there is none. */
function closingQuote(text: string, from: number): number {
  let place = text.indexOf('"', from);
  while (place >= 0 && text[place + 1] === '"') place = text.indexOf('"', place + 2);
  return place < 0 ? text.length : place;
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

function fieldError(what: string, rest: string, where: string): FormatError {
  const expected = 'fields separated by commas, "in quotation marks" where needed';
  return new FormatError({ where, what, received: rest.slice(0, 40), expected });
}
