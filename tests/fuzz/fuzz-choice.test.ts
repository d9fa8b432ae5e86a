import { expect, test } from "vitest";
import { fuzzChoiceOf } from "./fuzz-choice.ts";
import { readers } from "./readers.ts";

test("without flags every reader gets 20,000 cases", () => {
  expect(fuzzChoiceOf([])).toEqual({ chosen: readers, first: 0, last: 20_000 });
  expect(fuzzChoiceOf(["--cases", "500"])).toEqual({ chosen: readers, first: 0, last: 500 });
});

test("one reader, one case", () => {
  const { chosen, first, last } = fuzzChoiceOf(["--reader", "torch .pth", "--case", "7"]);
  expect([chosen.map(({ name }) => name), first, last]).toEqual([["torch .pth"], 7, 8]);
});

test.each([
  [["--reader", "keras"], /^option --reader: there is no such reader; received "keras"; expected one of .*torch \.pth/],
  [["--cases", "many"], 'option --cases: this value is not allowed; received "many"; expected a whole number from 1.'],
  [["--cases", "0"], 'option --cases: this value is not allowed; received "0"; expected a whole number from 1.'],
  [["--case", "1.5"], 'option --case: this value is not allowed; received "1.5"; expected a whole number from 0.'],
  [["--count", "5"], /^fuzz: Unknown option '--count'.*; expected --cases COUNT, --reader NAME or --case INDEX\.$/],
])("refuses %j", (flags, message) => {
  expect(() => fuzzChoiceOf(flags)).toThrow(message);
});
