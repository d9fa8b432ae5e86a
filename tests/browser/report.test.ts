import { afterAll, beforeAll, expect, it } from "vitest";
import { numberColumn, table } from "../../src/report/document.ts";
import { toHtml } from "../../src/report/html.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

let browser: BrowserTest;
beforeAll(async () => {
  if (whyNoBrowser === undefined) browser = await startBrowserTest();
});
afterAll(() => browser?.close());

it("a caption is not cut off on a phone where its table is wider than the screen", async (context) => {
  if (whyNoBrowser !== undefined) return context.skip(whyNoBrowser);
  const columns = Array.from({ length: 12 }, (_, index) => `milliseconds${index}`);
  const caption = "Mean milliseconds of each step, of several networks on this machine, in a table of many columns";
  const wide = table(caption, columns, [columns]);
  const page = await browser.open();
  await page.setViewportSize({ width: 390, height: 800 });
  await page.setContent(
    await toHtml({ kind: "Report", title: "Wide", sections: [{ id: "a", title: "A", blocks: [wide] }] }),
  );
  const measure = () =>
    page.evaluate(() => {
      const box = (selector: string) => document.querySelector(selector)!.getBoundingClientRect();
      return { table: box("table").width, left: box("caption").left, right: box("caption").right };
    });
  const before = await measure();
  expect(before.table).toBeGreaterThan(390);
  expect(before.right).toBeLessThanOrEqual(390);
  await page.evaluate(() => document.querySelector(".scroll")!.scrollTo({ left: 200, behavior: "instant" }));
  expect((await measure()).left).toBe(before.left);
});

it("breaks the header of a column where it says", async (context) => {
  if (whyNoBrowser !== undefined) return context.skip(whyNoBrowser);
  const page = await browser.open();
  const columns = ["Method", numberColumn("Random\nclassifier"), { header: "Sanity\ncheck" }, numberColumn("One line")];
  const short = table("Tests", columns, [["a", "1", "2", "3"]]);
  await page.setContent(
    await toHtml({ kind: "Report", title: "T", sections: [{ id: "a", title: "A", blocks: [short] }] }),
  );
  const lines = await page.evaluate(() =>
    [...document.querySelectorAll("thead th")].map((cell) => {
      const range = document.createRange();
      range.selectNodeContents(cell);
      return new Set([...range.getClientRects()].map(({ top }) => top)).size;
    }),
  );
  expect(lines).toEqual([1, 2, 2, 1]);
});
