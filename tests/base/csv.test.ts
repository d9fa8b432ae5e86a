import fc from "fast-check";
import { expect, it } from "vitest";
import { csvText, parseCsv } from "../../src/base/csv.ts";
import { FormatError } from "../../src/base/errors.ts";

const fieldsOf = (text: string) => [...parseCsv(text, "file")].map(({ fields }) => fields);

it("reads fields, quoted ones, empty ones, and either line break", () => {
  const text = 'a,"b, ""c""\nd",\r\n\n,e\n"",f,';
  expect(fieldsOf(text)).toEqual([
    ["a", 'b, "c"\nd', ""],
    ["", "e"],
    ["", "f", ""],
  ]);
  expect(fieldsOf("")).toEqual([]);
});

it("reads back what is written", () => {
  const field = fc.oneof(fc.string(), fc.constantFrom('"', ",", "\n", "\r\n", '",', ""));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constant("row"), field, field)), (rows) => {
      expect(fieldsOf(csvText(rows))).toEqual(rows);
    }),
  );
});

it("numbers lines from 1, skips a byte order mark and spaces around quotes", () => {
  expect([...parseCsv('\uFEFFa\r\n"b\r\nc"\r\n\r\n "d" ,e\n', "file")]).toEqual([
    { line: 1, fields: ["a"] },
    { line: 2, fields: ["b\r\nc"] },
    { line: 5, fields: ["d", "e"] },
  ]);
});

it.each([
  ['a\n"b', "a quoted field is never closed"],
  ['a\n"b,c\nd', "a quoted field is never closed"],
  ['a\n"b"c,d', "a quotation mark or carriage return is inside a field"],
  ['a\nb"c', "a quotation mark or carriage return is inside a field"],
  ["a\nb\rc", "a quotation mark or carriage return is inside a field"],
])("refuses %j", (text, what) => {
  expect(() => fieldsOf(text)).toThrow(FormatError);
  expect(() => fieldsOf(text)).toThrow(
    `file, line 2: ${what}; received ${JSON.stringify(text.slice(2))}; ` +
      'expected fields separated by commas, "in quotation marks" where needed.',
  );
});

it("quotes what would be taken for more than one field, and writes numbers in full", () => {
  expect(csvText([["a,b", 'say "x"', "two\nlines", 0.1 + 0.2, undefined, "plain ü"]])).toBe(
    '"a,b","say ""x""","two\nlines",0.30000000000000004,,plain ü\r\n',
  );
});

it.each([
  ["doubled quotation marks", '"'.repeat(20_000_001)],
  ["text", `"${"a".repeat(20_000_000)}`],
])("names a quoted field of long %s that is never closed", (_, text) => {
  expect(() => fieldsOf(text)).toThrow(FormatError);
  expect(() => fieldsOf(text)).toThrow("file, line 1: a quoted field is never closed");
});

it("reads a field of any length", () => {
  const long = "a".repeat(20_000_000);
  expect(fieldsOf(`${long},"${long}""\n"\n`)[0]!.map((field) => field.length)).toEqual([20_000_000, 20_000_002]);
});
