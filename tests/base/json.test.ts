import fc from "fast-check";
import { expect, test } from "vitest";
import type { FormatError } from "../../src/base/errors.ts";
import { parseJson } from "../../src/base/json.ts";

function placeIn(text: string): number | undefined {
  try {
    parseJson(text, "f");
    return undefined;
  } catch (error) {
    const match = /^f, character (\d+): this is not JSON\.$/.exec((error as FormatError).message);
    return Number(match![1]);
  }
}

test.each([
  ["", 0],
  ['{"weights', 1],
  ['{"a": ', 6],
  ['{"a": 1, }', 9],
  ['{"a": 1 "b"}', 8],
  ["[1, 2,, 3]", 6],
  ["[1, 2}", 5],
  ['{"a": nul}', 6],
  ['["\n"]', 1],
  ["[01]", 2],
  ["{1: 2}", 1],
  ["[1] 2", 4],
  ["]", 0],
  ['{"a" 1}', 5],
  ['["\\u00e9\\n", "\\x"]', 13],
  [`["${"a".repeat(3_000_000)}`, 1],
])("a text ends to be JSON where it does: case %#", (text, place) => {
  expect(placeIn(text)).toBe(place);
});

test("every text that JSON.parse refuses has a place, up to which it can be the beginning of JSON", () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), fc.string({ maxLength: 3 }), (json, at, change) => {
      const place = at % (json.length + 1);
      const found = placeIn(json.slice(0, place) + change);
      if (found === undefined) return;
      // Cut off before the change, the place cannot be before the last word.
      expect(found).toBeLessThanOrEqual(place + change.length);
      expect(() => JSON.parse(json.slice(0, place) + change)).toThrow();
    }),
  );
});

test.each([
  [
    "nested lists",
    "[".repeat(50_000_000),
    {},
    "f: lists and objects are nested too deeply; expected at most 200 levels.",
  ],
  [
    "empty objects",
    `[${"{},".repeat(2 ** 21)}{}]`,
    {},
    "f: it has too many values; expected at most 2097152 lists, objects and keys.",
  ],
  [
    "keys",
    '{"a":1,"b":2,"c":3}',
    { most: 3 },
    "f: it has too many values; expected at most 3 lists, objects and keys.",
  ],
  [
    "a duplicate key",
    '{"a":{"b":1},"c":[{"b":2}],"\\u0061" : 3}',
    { uniqueKeys: true },
    'f: duplicate name; received "a".',
  ],
])("%s: refused before it takes memory", (_, text, options, message) => {
  const before = process.memoryUsage().heapUsed;
  expect(() => parseJson(text, "f", options)).toThrow(message);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(100_000_000);
});

test("braces, colons and quotes in strings count for nothing", () => {
  const text = JSON.stringify(['{[:"\\', "]}".repeat(300), "[".repeat(300), ":".repeat(300)]);
  expect(parseJson(text, "f", { most: 1 })).toEqual(JSON.parse(text));
  expect(parseJson('[{"a":":"},{"a":"a"}]', "f", { uniqueKeys: true })).toEqual([{ a: ":" }, { a: "a" }]);
});
