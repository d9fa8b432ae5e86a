import { expect, it } from "vitest";
import { drawContactSheet } from "../../src/report/contact-sheet.ts";

const png = Uint8Array.of(137, 80, 78, 71);
const cell = (...caption: string[]) => ({ png, caption: caption.map((text) => ({ text })) });

it("draws images in rows with headings and captions, and nothing that text could break", () => {
  const sheet = {
    title: "Sheet <1>",
    subtitle: "a & b",
    columns: ["Original", "Epoch 1"],
    rows: [[cell('"cat"'), { png, caption: [{ text: "cat 0.7 + dog 0.3", isStrong: true }] }]],
    aspect: 0.5,
  };
  expect(drawContactSheet(sheet)).toMatchInlineSnapshot(`
    "<svg width="354pt" height="207pt" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 354 207" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">
    <rect width="354" height="207" fill="#ffffff"/>
    <text x="20" y="30" font-size="16" font-weight="bold" fill="#111111">Sheet &#60;1&#62;</text>
    <text x="20" y="48" font-size="11" font-weight="normal" fill="#555555">a &#38; b</text>
    <text x="20" y="76" font-size="12" font-weight="bold" fill="#111111">Original</text>
    <text x="184" y="76" font-size="12" font-weight="bold" fill="#111111">Epoch 1</text>
    <image x="20" y="84" width="150" height="75" href="data:image/png;base64,iVBORw=="/>
    <text x="20" y="173" font-size="11" font-weight="normal" fill="#555555">&#34;cat&#34;</text>
    <image x="184" y="84" width="150" height="75" href="data:image/png;base64,iVBORw=="/>
    <text x="184" y="173" font-size="11" font-weight="bold" fill="#111111">cat 0.7 + dog 0.3</text>
    </svg>
    "
  `);
});

it("breaks captions between words, and the rows below make room for them", () => {
  const sheet = (caption: string) => ({
    title: "",
    subtitle: "",
    columns: ["Original"],
    rows: [[cell(caption)], [cell("below")]],
    aspect: 1,
  });
  const linesOf = (svg: string) =>
    [...svg.matchAll(/y="(\d+)" font-size="11"[^>]*>([^<]+)</g)].map(([, y, text]) => [Number(y), text]);
  // 24 letters of 6.2 fit into 150 pixels.
  expect(linesOf(drawContactSheet(sheet("one two three four five six seven")))).toEqual([
    [248, "one two three four five"],
    [262, "six seven"],
    [454, "below"],
  ]);
  expect(linesOf(drawContactSheet(sheet("one")))).toEqual([
    [248, "one"],
    [440, "below"],
  ]);
  expect(linesOf(drawContactSheet(sheet("x".repeat(50)))).map(([, text]) => String(text).length)).toEqual([
    24, 24, 2, 5,
  ]);
  expect(linesOf(drawContactSheet(sheet("one two three\u00a0four\u00a0five\u00a0six")))[0]).toEqual([248, "one two"]);
});
