import fc from "fast-check";
import { expect, it } from "vitest";
import { parseCsv } from "../../src/data/csv-reader.ts";
import { FormatError } from "../../src/errors.ts";
import { csvText } from "../../src/report/csv.ts";

it("reads fields, quoted ones, empty ones, and either line break", () => {
  const text = 'a,"b, ""c""\nd",\r\n\n,e\n"",f,';
  expect([...parseCsv(text, "file")]).toEqual([
    ["a", 'b, "c"\nd', ""],
    ["", "e"],
    ["", "f", ""],
  ]);
  expect([...parseCsv("", "file")]).toEqual([]);
});

it("reads back what is written", () => {
  const field = fc.oneof(fc.string(), fc.constantFrom('"', ",", "\n", "\r\n", '",', ""));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constant("row"), field, field)), (rows) => {
      expect([...parseCsv(csvText(rows), "file")]).toEqual(rows);
    }),
  );
});

it.each(['a\n"b', 'a\n"b"c,d', 'a\nb"c'])("refuses %j", (text) => {
  const read = () => [...parseCsv(text, "file")];
  expect(read).toThrow(FormatError);
  expect(read).toThrow(
    `file, line 2: a quotation mark is where none can be, or is not closed; received ${JSON.stringify(text.slice(2))}; ` +
      'expected fields with commas between them, "in quotation marks" if need be.',
  );
});
