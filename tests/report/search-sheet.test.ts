import { expect, it } from "vitest";
import { toHtml } from "../../src/report/html.ts";
import { type SearchSheet, searchDocument } from "../../src/report/search-sheet.ts";

const renderSheet = (sheet: SearchSheet) => toHtml(searchDocument(sheet));
const jpeg = Uint8Array.of(0xff, 0xd8, 0xff);
const sheet = {
  query: { file: "a/<b>.jpg", label: "cats & dogs", jpeg },
  neighbors: [
    { file: "1.jpg", label: "cats & dogs", jpeg, similarity: 0.98765 },
    { file: "2.jpg", label: "owl", similarity: -0.25 },
    { file: "3.jpg", jpeg, similarity: 0.5 },
  ],
  searched: 1234,
  facts: [{ name: "File", value: "a/<b>.jpg" }],
};

it("shows the image and its neighbors, tells classes apart, and needs nothing beside it", async () => {
  const page = await renderSheet(sheet);
  expect(page).toContain("The 3 most similar of 1,234 images, 1 of the same class (cats &#38; dogs).");
  expect(page).toContain("<dd>a/&#60;b&#62;.jpg</dd>");
  expect(page.match(/<li class="\w+"/g)).toEqual(['<li class="same"', '<li class="other"', '<li class="unknown"']);
  expect(page).toContain("<strong>1. cats &#38; dogs</strong>");
  expect(page).toContain("<strong>3. 3.jpg</strong>");
  expect(page).toContain('width:98.8%"></span></span> 0.988</span>');
  expect(page).toContain('width:0.0%"></span></span> -0.250</span>');
  expect(page.match(/src="data:image\/jpeg;base64,\/9j\/"/g)).toHaveLength(3);
  expect(page.match(/file not found/g)).toHaveLength(1);
  expect(page).not.toMatch(/<script|https?:/);
  expect(await renderSheet(sheet)).toBe(page);
});

it("says nothing of classes where the image has none", async () => {
  const page = await renderSheet({ ...sheet, query: { file: "x.jpg" } });
  expect(page).toContain("The 3 most similar of 1,234 images.</p>");
  expect(page).not.toContain('class="same"');
});
