/**
 * Rows as CSV (RFC 4180), the header first. Numbers are written in full, with a point, so that reading them back gives the same
 * values; what is undefined is an empty field.
 * @see https://www.rfc-editor.org/rfc/rfc4180
 */
export function csvText(rows: readonly (readonly (string | number | undefined)[])[]): string {
  return rows.map((row) => `${row.map((value) => field(String(value ?? ""))).join(",")}\r\n`).join("");
}

function field(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
