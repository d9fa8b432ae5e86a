import { parseCsv } from "../base/csv.ts";
import { DataError, FormatError } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { assertOption, number, text, wholeNumber } from "../base/kinds.ts";
import type { FolderListing } from "../base/platform.ts";
import { fitting, list, record } from "../base/schema.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";
import { compareCodePoints, type ImageDataset, isHidden, isImageFile, type Sample } from "./dataset.ts";

/**
 * One-hot encodes labels as target probabilities: `[N]` → `[N, classes]`.
 * @param smoothing share of the probability that is spread evenly over all classes, from 0 to 1 (exclusive).
 * @throws {UsageError} the smoothing or a label is out of its range.
 * @see https://arxiv.org/abs/1512.00567 section 7, label smoothing
 * @example oneHot([1], 2, 0.1).data // [0.05, 0.95]
 */
export function oneHot(labels: ArrayLike<number>, classes: number, smoothing = 0): FloatTensor {
  return targetsOf(
    Array.from(labels, (label) => ({ label })),
    classes,
    smoothing,
  );
}

/**
 * Target probabilities, `[N, classes]`. Samples with one label are encoded as by {@link oneHot}; of those with a set of labels each
 * class is 1 or 0, moved towards ½ by the smoothing.
 * @throws as {@link oneHot}.
 */
export function targetsOf(
  samples: readonly Pick<Sample, "label" | "labels">[],
  classes: number,
  smoothing = 0,
): FloatTensor {
  const validLabels = wholeNumber({ from: 0, to: classes - 1 });
  assertOption("oneHot option smoothing", smoothing, number({ from: 0, below: 1 }));
  const targets = new Float32Array(samples.length * classes);
  for (const [row, { label, labels }] of samples.entries()) {
    const lowest = labels ? smoothing / 2 : smoothing / classes;
    const target = targets.subarray(row * classes, (row + 1) * classes).fill(lowest);
    for (const present of labels ?? [label]) {
      assertOption("oneHot option label", present, validLabels);
      target[present] = 1 - smoothing + lowest;
    }
  }
  return floatTensor([samples.length, classes], targets);
}

/** The labels of images by file, as paths inside the data set's folder. */
export type LabelsByFile = ReadonlyMap<string, readonly string[]>;

const labelsSchema = record(list({ ...text("LABEL"), expected: "a label" }));
const weightsSchema = record(number({ from: 0 }));

/** Enough for eight million images. */
const jsonOptions = { uniqueKeys: true, most: 2 ** 24 } as const;

/**
 * Reads labels of images: JSON, `{"a/1.jpg": ["cat", "dog"]}`, or lines of CSV, `a/1.jpg,cat;dog`, with or without the
 * heading `file,labels`. File names with commas are quoted.
 * @param where name of the file in errors.
 * @throws {FormatError} it is neither, or lists a file twice.
 */
export function parseLabels(content: string, where: string): LabelsByFile {
  const written = content.replace(/^\uFEFF/, "");
  if (written.trimStart().startsWith("{")) {
    const document = fitting(labelsSchema, parseJson(written, where, jsonOptions), where);
    return new Map(Object.entries(document).map(([file, labels]) => [file, [...new Set(labels)]]));
  }
  const labelsByFile = new Map<string, readonly string[]>();
  for (const { line, fields } of parseCsv(written, where)) {
    const row = fields.join(",").trim();
    if (row === "" || (labelsByFile.size === 0 && /^file,labels?$/i.test(row))) continue;
    const [file = "", names = ""] = fields.map((field) => field.trim());
    const error = (what: string, received: string, expected?: string) =>
      new FormatError({ where: `${where}, line ${line}`, what, received, ...(expected && { expected }) });
    if (fields.length !== 2 || file === "") throw error("this is not a file and its labels", row, "file,label;label");
    if (labelsByFile.has(file)) throw error("an earlier line has this file", file);
    const labels = names.split(";").map((label) => label.trim());
    labelsByFile.set(file, [...new Set(labels.filter((label) => label !== ""))]);
  }
  return labelsByFile;
}

/** The images of a folder with the labels of a file. */
export interface MultiLabelDataset extends ImageDataset {
  /** Number of images without a label, which are left out. */
  readonly unlabeled: number;
}

/**
 * Builds a data set whose images have one label or more; images without are left out.
 * @param where name of the labels' file in errors.
 * @param classes all classes, in order; default: those of the labels, sorted by code point.
 * @throws {DataError} a label refers to a missing image or an unknown class, or there are no labels or only one class.
 */
export function multiLabelDataset(
  listing: FolderListing,
  labels: LabelsByFile,
  where: string,
  classes: readonly string[] = [...new Set([...labels.values()].flat())].sort(compareCodePoints),
): MultiLabelDataset {
  const images = listing.files.filter((file) => isImageFile(file) && !isHidden(file)).sort(compareCodePoints);
  const known = new Set(images);
  const missing = [...labels.keys()].filter((file) => !known.has(file));
  if (missing.length > 0) {
    const what = `it has labels of images that are not in "${listing.path}" (${missing.length})`;
    const expected = "paths inside that folder, e.g. cats/1.jpg";
    throw new DataError({ where, what, received: missing.slice(0, 5), expected });
  }
  const places = new Map(classes.map((name, place) => [name, place]));
  const strange = [...new Set([...labels.values()].flat())].filter((name) => !places.has(name));
  if (strange.length > 0) {
    const expected = classes.join(", ");
    throw new DataError({
      where,
      what: "it has labels that are not classes of the model",
      received: strange,
      expected,
    });
  }
  const samples = images.flatMap((name): Sample[] => {
    const own = (labels.get(name) ?? []).map((label) => places.get(label)!);
    return own.length === 0 ? [] : [{ image: `${listing.path}/${name}`, label: own[0]!, labels: own, name }];
  });
  if (samples.length === 0) throw new DataError({ where, what: "it has no label for any image" });
  if (classes.length < 2) throw new DataError({ where, what: "there is only one class", received: classes[0] });
  return { classes, samples, unlabeled: images.length - samples.length };
}

/**
 * Reads class weights of the mean average precision: JSON, `{"cat": 3, "dog": 0.5}`.
 * @param where name of the file in errors.
 * @returns a weight for each class, in their order.
 * @throws {FormatError} it is not such a file, or a weight is invalid.
 * @throws {DataError} its names differ from the classes.
 */
export function parseMapWeights(content: string, classes: readonly string[], where: string): number[] {
  const weights = fitting(weightsSchema, parseJson(content, where, jsonOptions), where);
  const missing = classes.filter((name) => !Object.hasOwn(weights, name)).map((name) => `${name} is missing`);
  const strange = Object.keys(weights).filter((name) => !classes.includes(name));
  const differences = [...missing, ...strange.map((name) => `${name} is unknown`)];
  if (differences.length > 0) {
    const what = `its weights are not those of the classes: ${differences.join(", ")}`;
    throw new DataError({ where, what, expected: classes.join(", ") });
  }
  if (classes.every((name) => weights[name] === 0)) {
    throw new DataError({ where, what: "no class counts", expected: "a weight above 0" });
  }
  return classes.map((name) => weights[name]!);
}
