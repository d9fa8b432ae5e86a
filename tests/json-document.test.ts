import fc from "fast-check";
import { expect, test } from "vitest";
import type { FormatError } from "../src/errors.ts";
import { parseJson } from "../src/json-document.ts";

function placeIn(text: string): number | undefined {
  try {
    parseJson(text, "f");
    return undefined;
  } catch (error) {
    const match = /^f, character (\d+): this is no JSON\.$/.exec((error as FormatError).message);
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
