import { expect, it } from "vitest";
import { type DataExamination, describeExamination, examinationDocument, shownFiles } from "../../src/report/data.ts";

const files = (count: number, kind: string) => Array.from({ length: count }, (_, index) => `${kind}/${index}.jpg`);

const found: DataExamination = {
  images: 1500,
  validationImages: 0,
  classes: [{ label: "a", images: 1500 }],
  unreadable: [],
  duplicates: files(1101, "copy").map((file) => ({ kind: "near", files: [file, `again/${file}`] })),
  leaks: [],
  similar: files(100, "similar").map((file) => ({ files: [file, "a/1.jpg"], similarity: 0.99 })),
  labelIssues: files(140, "label").map((file) => ({
    ...{ file, label: "a", suggested: "b", probability: 0, suggestedProbability: 1 },
  })),
  odd: [{ file: "a/1.jpg", kind: "large", note: "9×9 pixels" }],
  clean: [],
};

it("shows the first 100 problems of each kind, and says so", () => {
  const { sections } = examinationDocument(found, new Map(), []);
  expect(sections.flatMap((section) => (section ? [section.title] : []))).toEqual([
    "Data set",
    "Probably wrong labels (the first 100 of 140)",
    "Copies (the first 100 of 1,101)",
    "Similar images",
    "Unlike the others",
  ]);
  const copies = sections.find((section) => section?.id === "copies")!;
  expect(copies.blocks.length).toBe(100);
});

it("says that classes are too small for their labels to be checked", () => {
  const small = { ...found, labelIssues: [], crossValidatedAccuracy: 0.5, unjudgedClasses: 2 };
  const { headlines } = examinationDocument(small, new Map(), []);
  expect(headlines!.at(-1)).toEqual({
    name: "Labels in doubt",
    value: "0",
    note: "cross-validated accuracy 50.0\u00a0%; 2 classes have too few images to be checked",
  });
  expect(describeExamination(small)).toMatch(/^labels in doubt {2}0; 2 classes have too few images to be checked$/m);
  expect(describeExamination({ ...small, unjudgedClasses: 0 })).toMatch(/^labels in doubt {2}0$/m);
});

it("has the images of these problems, each once, whatever there are more of", () => {
  expect(shownFiles(found)).toEqual([
    ...files(100, "label"),
    ...files(100, "copy").flatMap((file) => [file, `again/${file}`]),
    ...files(100, "similar").flatMap((file, index) => (index === 0 ? [file, "a/1.jpg"] : [file])),
  ]);
});
