import { expect, test } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { choice, literal, matching, number, onOff, string, wholeNumber } from "../../src/base/kinds.ts";
import {
  check,
  either,
  exact,
  fitting,
  list,
  nullable,
  nullish,
  object,
  optional,
  orElse,
  record,
  selected,
  tuple,
} from "../../src/base/schema.ts";

const schema = object({
  sizes: list(wholeNumber({ from: 1, to: 5 }), 0, 3),
  padding: either(choice("valid", "same"), tuple(wholeNumber({ from: 0 }), wholeNumber({ from: 0 }))),
  rates: optional(record(number({ above: 0 }))),
  shown: orElse(onOff(), true),
  point: optional(tuple(number(), string, optional(onOff()))),
  version: optional(literal(1, 2)),
  comment: optional(nullable(string)),
  digest: optional(matching(/^[0-9]{2}$/, "two digits")),
  layer: selected("type", { relu: exact({ type: choice("relu") }), none: object({}) }),
});
const good = { sizes: [1], padding: "same", rates: { a: 0.5 }, shown: false, layer: { type: "relu" } };

test("returns the fields that are named, and fills in what is optional", () => {
  expect(fitting(schema, { ...good, other: 1 }, "f")).toEqual(good);
  const { rates: _, shown: __, ...least } = { ...good, padding: [0, 2] };
  expect(check(schema, least)).toEqual({ value: { ...least, shown: true } });
  const more = { ...good, version: 2, comment: null, digest: "07" };
  expect(fitting(schema, { ...more, point: [1, "a", true] }, "f")).toEqual({ ...more, point: [1, "a", true] });
  expect(fitting(schema, { ...more, point: [1, ""] }, "f")).toEqual({ ...more, point: [1, "", undefined] });
});

test.each([
  [5, "f: this value is not allowed; received 5; expected an object."],
  [null, "f: this value is not allowed; received null; expected an object."],
  [[], "f: this list is not allowed; expected an object."],
  [
    { ...good, sizes: [1, 9] },
    "f, field sizes.1: this value is not allowed; received 9; expected a whole number from 1 to 5.",
  ],
  [{ ...good, sizes: [1, 2, 3, 4] }, "f, field sizes: this list is not allowed; expected a list of 0 to 3 values."],
  [
    { ...good, sizes: "x" },
    'f, field sizes: this value is not allowed; received "x"; expected a list of 0 to 3 values.',
  ],
  [{ ...good, sizes: undefined }, "f, field sizes: it is missing; expected a list of 0 to 3 values."],
  [
    { ...good, padding: "full" },
    'f, field padding: this value is not allowed; received "full"; expected one of valid, same, or a list of 2 values.',
  ],
  [
    { ...good, padding: [0, 1, 2] },
    "f, field padding: this list is not allowed; expected one of valid, same, or a list of 2 values.",
  ],
  [{ ...good, point: [1] }, "f, field point.1: it is missing; expected a text."],
  [{ ...good, point: [1, "a", true, 2] }, "f, field point: this list is not allowed; expected a list of 3 values."],
  [{ ...good, version: 3 }, "f, field version: this value is not allowed; received 3; expected 1 or 2."],
  [{ ...good, comment: 3 }, "f, field comment: this value is not allowed; received 3; expected a text."],
  [{ ...good, digest: "0G" }, 'f, field digest: this value is not allowed; received "0G"; expected two digits.'],
  [{ ...good, rates: [1] }, "f, field rates: this list is not allowed; expected an object."],
  [{ ...good, sizes: { a: 1 } }, "f, field sizes: this object is not allowed; expected a list of 0 to 3 values."],
  [
    { ...good, rates: { a: 1, b: 0 } },
    "f, field rates.b: this value is not allowed; received 0; expected a number above 0.",
  ],
  [{ ...good, shown: 1 }, "f, field shown: this value is not allowed; received 1; expected true or false."],
  [
    { ...good, layer: { type: "elu" } },
    'f, field layer.type: this value is not allowed; received "elu"; expected one of relu, none.',
  ],
  [
    { ...good, layer: { type: "constructor" } },
    'f, field layer.type: this value is not allowed; received "constructor"; expected one of relu, none.',
  ],
  [
    { ...good, layer: { type: "relu", alpha: 1 } },
    "f, field layer.alpha: this value is not allowed; received 1; expected one of the fields type.",
  ],
])("names the first field that does not fit: %j", (value, message) => {
  expect(() => fitting(schema, value, "f")).toThrow(FormatError);
  expect(() => fitting(schema, value, "f")).toThrow(message);
});

test("a value at any depth is found, and named by its path", () => {
  const deep = list(object({ values: list(list(number())), name: nullish(string) }));
  const good = [{ values: [[1, 2], [3]], name: null }, { values: [] }];
  expect(fitting(deep, good, "f")).toEqual(good);
  expect(() => fitting(deep, [good[0], { values: [[1], [2, "3"]] }], "f")).toThrow(
    'f, field 1.values.1.1: this value is not allowed; received "3"; expected a number.',
  );
  expect(() => fitting(list(number(), 1), [], "f")).toThrow(
    "f: this list is not allowed; expected a list of 1 or more values.",
  );
  expect(() => fitting(number(), undefined, "f")).toThrow("f: it is missing; expected a number.");
});

test("a field of a prototype's name is data", () => {
  const stored = JSON.parse('{"__proto__": 1, "constructor": 2}');
  expect(Object.entries(fitting(record(number()), stored, "f"))).toEqual([
    ["__proto__", 1],
    ["constructor", 2],
  ]);
});
