import { describe, expect, it } from "vitest";
import { DataError, FormatError } from "../../src/base/errors.ts";
import { multiLabelDataset, parseLabels, parseMapWeights } from "../../src/data/labels.ts";
import { splitDataset } from "../../src/data/sampling.ts";

const csv = 'file,labels\r\na/1.jpg,cat;dog\r\n\r\n"b, c ""d"".png", dog ;dog\r\n2.jpg,\r\n';
const json = '{"a/1.jpg": ["cat", "dog"], "b, c \\"d\\".png": ["dog", "dog"], "2.jpg": []}';
const listing = {
  path: "photos",
  folders: ["a"],
  files: ['b, c "d".png', "a/1.jpg", "2.jpg", "3.jpg", "labels.csv", ".x.jpg"],
};

describe("a file of labels", () => {
  it.each([csv, json])("names the labels of each image: %j", (text) => {
    expect([...parseLabels(text, "labels")]).toEqual([
      ["a/1.jpg", ["cat", "dog"]],
      ['b, c "d".png', ["dog"]],
      ["2.jpg", []],
    ]);
  });

  it.each([
    ["1.jpg", 'labels, line 1: this is not a file and its labels; received "1.jpg"; expected file,label;label.'],
    [
      "1.jpg,a\n2.jpg,b,c",
      'labels, line 2: this is not a file and its labels; received "2.jpg,b,c"; expected file,label;label.',
    ],
    ["1.jpg,a\n1.jpg,b", 'labels, line 2: an earlier line has this file; received "1.jpg".'],
    ['1.jpg,a\n"2.jpg,b', 'labels, line 2: a quoted field is never closed; received "\\"2.jpg,b"'],
    [
      '{"1.jpg": "cat"}',
      'labels, field 1.jpg: this value is not allowed; received "cat"; expected a list, each a label.',
    ],
    ['{"1.jpg": ["cat", 3]}', "labels, field 1.jpg.1: this value is not allowed; received 3; expected a label."],
    ['{"1.jpg": [""]}', 'labels, field 1.jpg.0: this value is not allowed; received ""; expected a label.'],
    ['{"1.jpg": [', "labels, character 11: this is not JSON."],
    ['{"1.jpg": ["a"], "2.jpg": ["a"], "1.jpg": ["b"]}', 'labels: duplicate name; received "1.jpg".'],
  ])("refused: %j", (text, message) => {
    expect(() => parseLabels(`\uFEFF${text}`, "labels")).toThrow(FormatError);
    expect(() => parseLabels(text, "labels")).toThrow(message);
  });
});

describe("a data set with several labels for an image", () => {
  it("has the images that have labels, by name, and sorted classes", () => {
    const labels = new Map([...parseLabels(csv, "labels"), ["3.jpg", ["ape"]] as const]);
    expect(multiLabelDataset(listing, labels, "labels")).toEqual({
      classes: ["ape", "cat", "dog"],
      samples: [
        { image: "photos/3.jpg", label: 0, labels: [0], name: "3.jpg" },
        { image: "photos/a/1.jpg", label: 1, labels: [1, 2], name: "a/1.jpg" },
        { image: 'photos/b, c "d".png', label: 2, labels: [2], name: 'b, c "d".png' },
      ],
      unlabeled: 1,
    });
  });

  it("counts in the classes of a model", () => {
    const { classes, samples } = multiLabelDataset(listing, parseLabels(csv, "labels"), "labels", [
      "dog",
      "cat",
      "ape",
    ]);
    expect(classes).toEqual(["dog", "cat", "ape"]);
    expect(samples.map(({ labels }) => labels)).toEqual([[1, 0], [0]]);
  });

  it.each([
    [
      { "9.jpg": ["a", "b"] },
      undefined,
      'labels: it has labels of images that are not in "photos" (1); received ["9.jpg"]; expected paths inside that folder, e.g. cats/1.jpg.',
    ],
    [
      { "3.jpg": ["a", "b"] },
      ["a"],
      'labels: it has labels that are not classes of the model; received ["b"]; expected a.',
    ],
    [{ "3.jpg": [] }, undefined, "labels: it has no label for any image."],
    [{ "3.jpg": ["a"] }, undefined, 'labels: there is only one class; received "a".'],
  ])("refused: %j", (labels, classes, message) => {
    const make = () => multiLabelDataset(listing, new Map(Object.entries(labels)), "labels", classes);
    expect(make).toThrow(DataError);
    expect(make).toThrow(message);
  });

  it("is shared out as a whole: classes of one image are no hindrance", () => {
    const labels = Object.fromEntries(
      ["2.jpg", "3.jpg", "a/1.jpg", 'b, c "d".png'].map((file, index) => [file, [`${index}`, "x"]]),
    );
    const dataset = multiLabelDataset(listing, new Map(Object.entries(labels)), "labels");
    const { training, validation } = splitDataset(dataset, { validation: 0.25, test: 0 }, 3);
    expect([training.samples.length, validation.samples.length]).toEqual([3, 1]);
    expect(new Set([...training.samples, ...validation.samples])).toEqual(new Set(dataset.samples));
    const one = { ...dataset, samples: dataset.samples.slice(0, 1) };
    expect(() => splitDataset(one, { validation: 0.5, test: 0 }, 0)).toThrow(
      'class "all": there are too few different images to hold one out for validation',
    );
  });
});

describe("weights of the classes", () => {
  it("are those of the file, in the order of the classes", () => {
    expect(parseMapWeights('{"dog": 0.5, "cat": 3}', ["cat", "dog"], "weights")).toEqual([3, 0.5]);
  });

  it("refused", () => {
    const parse = (text: string) => () => parseMapWeights(text, ["cat", "dog"], "weights");
    expect(parse('{"cat": 1, "cow": 2}')).toThrow(
      "weights: its weights are not those of the classes: dog is missing, cow is unknown; expected cat, dog.",
    );
    expect(parse('{"cat": -1, "dog": 2}')).toThrow(
      "weights, field cat: this value is not allowed; received -1; expected a number from 0.",
    );
    expect(parse('{"cat": 1, "dog": "2"}')).toThrow(
      'weights, field dog: this value is not allowed; received "2"; expected a number from 0.',
    );
    expect(parse('{"cat": 0, "dog": 0}')).toThrow("weights: no class counts; expected a weight above 0.");
  });
});
