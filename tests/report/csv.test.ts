import { expect, it } from "vitest";
import { csvText } from "../../src/report/csv.ts";

it("quotes what would be taken for more than one field, and writes numbers in full", () => {
  expect(csvText([["a,b", 'say "x"', "two\nlines", 0.1 + 0.2, undefined, "plain ü"]])).toBe(
    '"a,b","say ""x""","two\nlines",0.30000000000000004,,plain ü\r\n',
  );
});
