import { expect, test } from "vitest";
import { markdownTable, refreshBlocks, shorten } from "../../scripts/generated-blocks.ts";

const shout = { shout: (word: string, current: string) => `${word.toUpperCase()} (was ${current})` };

test("rewrites the text between the markers and nothing else", () => {
  const document =
    "# A\n<!-- begin:shout hello -x -->\nold\n<!-- end:shout -->\nB\n<!-- begin:shout you -->\n<!-- end:shout -->";
  expect(refreshBlocks(document, shout)).toBe(
    "# A\n<!-- begin:shout hello -x -->\nHELLO -X (was old)\n<!-- end:shout -->\nB\n<!-- begin:shout you -->\nYOU (was )\n<!-- end:shout -->",
  );
});

test("refuses unknown kinds and blocks without end", () => {
  expect(() => refreshBlocks("<!-- begin:sing a -->\n<!-- end:sing -->", shout)).toThrow(
    "<!-- begin:sing a -->: unknown kind, expected one of shout.",
  );
  const endless = "<!-- begin:shout a -->\n<!-- begin:shout b -->\n<!-- end:shout -->";
  expect(() => refreshBlocks(endless, shout)).toThrow("<!-- begin:shout a -->: no <!-- end:shout --> follows.");
  expect(() => refreshBlocks("<!-- begin:shout a -->\ntext", shout)).toThrow("no <!-- end:shout --> follows.");
});

test("writes tables and shortens long texts", () => {
  expect(
    markdownTable([
      { what: "a", ms: 1.5 },
      { what: "b", ms: 20 },
    ]),
  ).toBe("| what | ms |\n| --- | ---: |\n| a | 1.5 |\n| b | 20 |");
  expect(shorten("1\n2\n3\n4\n5\n", { first: 2, last: 1 })).toBe("1\n2\n…\n5");
  expect(shorten("1\n2\n3\n4\n", { first: 2, last: 1 })).toBe("1\n2\n3\n4");
});
