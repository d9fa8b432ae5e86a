import { FormatError } from "../errors.ts";

/**
 * The fields of each line of a CSV text; empty lines are left out.
 * @param where what errors call the text.
 * @throws {FormatError} a quotation mark stands inside a field, or is not closed; the message names the line.
 * @see https://www.rfc-editor.org/rfc/rfc4180
 */
export function* parseCsv(text: string, where: string): Generator<readonly string[], void, void> {
  const field = /(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r?\n|$)/y;
  let fields: string[] = [];
  let lines = 1;
  while (field.lastIndex < text.length) {
    const begin = field.lastIndex;
    const match = field.exec(text);
    if (!match) {
      throw new FormatError({
        where: `${where}, line ${lines}`,
        what: "a quotation mark is where none can be, or is not closed",
        received: text.slice(begin, begin + 40),
        expected: 'fields with commas between them, "in quotation marks" if need be',
      });
    }
    const [all, inside, plain, end] = match as unknown as [string, string | undefined, string | undefined, string];
    fields.push(inside?.replaceAll('""', '"') ?? plain ?? "");
    lines += all.split("\n").length - 1;
    if (end === ",") {
      if (field.lastIndex === text.length) yield [...fields, ""];
      continue;
    }
    if (fields.length > 1 || fields[0] !== "") yield fields;
    fields = [];
  }
}
