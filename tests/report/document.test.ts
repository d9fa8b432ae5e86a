import { expect, it } from "vitest";
import type { ReportDocument } from "../../src/report/document.ts";
import { toHtml } from "../../src/report/html.ts";
import { toText } from "../../src/report/text.ts";

const document: ReportDocument = {
  kind: "Test report",
  title: "A < B",
  summary: "One paragraph of more words than fit into a line of forty characters.",
  status: { text: "epoch 1 of 2", detail: "Loss 0.5.", share: 0.25, refreshSeconds: 15 },
  headlines: [{ name: "Accuracy", value: "75.0\u00a0%", note: "of 4 images" }],
  sections: [
    undefined,
    {
      id: "numbers",
      title: "Numbers",
      blocks: [
        undefined,
        { type: "paragraph", text: "⚠ Something is wrong.", style: "ill" },
        { type: "facts", facts: [{ name: "Loss", value: "0.5" }] },
        {
          type: "table",
          caption: "Classes",
          columns: [{ header: "Class" }, { header: "Share", align: "right" }],
          rows: [
            [
              { text: "cat", style: "code" },
              { text: "50\u00a0%", share: 0.5 },
            ],
            ["dog", undefined],
          ],
          summary: [["Mean", "25 %"]],
          total: ["All", "50 %"],
          foldedAs: "Unfold",
        },
        {
          type: "figures",
          layout: "curves",
          blocks: [
            { type: "chart", caption: "Drawn only.", draw: async () => "<svg/>" },
            {
              type: "chart",
              caption: "Drawn and told.",
              draw: async () => "<svg/>",
              asTable: { type: "table", caption: "Told", columns: [{ header: "x" }], rows: [["1"]] },
            },
          ],
        },
      ],
    },
    {
      id: "images",
      title: "Images",
      blocks: [
        { type: "heading", text: "Wrong" },
        {
          type: "gallery",
          headers: ["Predicted as", "True class", "Probability"],
          images: [{ file: "1.png", alt: "a dog", label: "cat", note: "is dog", share: 0.9, score: "90.0 %" }],
        },
        { type: "gallery", headers: ["", "", ""], images: [] },
        { type: "code", lines: ["xception evaluate", "xception report"] },
      ],
    },
  ],
};

it("is written as text: every block but the drawings, within the width", () => {
  expect(toText(document, { width: 40 })).toMatchInlineSnapshot(`
    "A < B
    One paragraph of more words than fit
      into a line of forty characters.
    Training now: epoch 1 of 2
    Loss 0.5.
     Accuracy: 75.0 %, of 4 images

    Numbers
    ⚠ Something is wrong.
     Loss: 0.5
    Classes
    ┏━━━━━━━┳━━━━━━━┓
    ┃ Class ┃ Share ┃
    ┡━━━━━━━╇━━━━━━━┩
    │ cat   │  50 % │
    │ dog   │       │
    │ Mean  │  25 % │
    │ All   │  50 % │
    └───────┴───────┘
    Told
    ┏━━━┓
    ┃ x ┃
    ┡━━━┩
    │ 1 │
    └───┘

    Images
    Wrong

    ┏━━━━━━┳━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━━━━┓
    ┃ File ┃ Predict ┃ True  ┃ Probability ┃
    ┃      ┃ ed as   ┃ class ┃             ┃
    ┡━━━━━━╇━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━━━━┩
    │ 1.pn │ cat     │ is    │      90.0 % │
    │ g    │         │   dog │             │
    └──────┴─────────┴───────┴─────────────┘
      xception evaluate
      xception report"
  `);
});

it("is written as HTML with the same texts, folded, drawn and colored", async () => {
  const page = await toHtml(document);
  for (const part of [
    '<p class="kind">Test report</p>\n<h1>A &#60; B</h1>',
    '<meta http-equiv="refresh" content="15">',
    "<strong>Training now:</strong> epoch 1 of 2</p>",
    "<div><dt>Accuracy</dt><dd>75.0\u00a0%<small>of 4 images</small></dd></div>",
    '<section id="numbers" aria-labelledby="numbers-title">\n<h2 id="numbers-title">Numbers</h2>',
    '<p class="verdict ill">⚠ Something is wrong.</p>',
    "<div><dt>Loss</dt><dd>0.5</dd></div>",
    "<details><summary>Unfold</summary>",
    '<th scope="row"><code>cat</code></th><td class="number">50\u00a0% <span class="bar"',
    '<tfoot><tr><th scope="row">All</th><td class="number">50 %</td></tr>',
    "<figcaption>Drawn only.</figcaption>",
    "<h3>Wrong</h3>",
    '<div class="gone">file not found</div>',
    '<strong>cat</strong><span class="truth">is dog</span>',
    "<code>xception evaluate\nxception report</code>",
  ]) {
    expect(page).toContain(part);
  }
  expect(page).not.toContain("Told");
});
