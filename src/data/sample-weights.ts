import { parseCsv } from "../base/csv.ts";
import { DataError, FormatError, UsageError } from "../base/errors.ts";
import { assertOption, number } from "../base/kinds.ts";
import { classesOf, countPerClass, type ImageDataset, type Sample } from "./dataset.ts";

/** Numbers by the name of the class, 1 for those left out, or weights that balance. */
export type ClassWeights = "balanced" | Readonly<Record<string, number>>;

/**
 * The weights of a data set's classes, in their order.
 * @throws {UsageError} a weight belongs to no class, one is not a number from 0, or all are 0.
 */
export function classWeightsOf(given: ClassWeights, dataset: ImageDataset): number[] {
  if (given === "balanced") return balancedClassWeights(dataset);
  const { classes } = dataset;
  const unknown = Object.keys(given).filter((name) => !classes.includes(name));
  if (unknown.length > 0) throwInvalid("the data set has no such classes", unknown, classes.join(", "));
  const weights = classes.map((name) => (Object.hasOwn(given, name) ? given[name]! : 1));
  for (const [label, weight] of weights.entries()) {
    assertOption(`class weights, the weight of "${classes[label]}"`, weight, number({ from: 0 }));
  }
  if (!weights.some((weight) => weight > 0)) throwInvalid("all of them are 0", weights, "a weight above 0");
  return weights;
}

/**
 * Balanced class weights, with which every class counts the same in the loss however many samples it has: samples / (classes · samples of the
 * class), so that the mean over all samples is 1. A class without samples gets 0.
 */
export function balancedClassWeights(dataset: ImageDataset): number[] {
  const counts = countPerClass(dataset);
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (count === 0 ? 0 : total / (counts.length * count)));
}

/** Returns the weight of a sample in the loss: its own times the mean of its classes' weights. */
export function weightOf(sample: Sample, classWeights: readonly number[] | undefined): number {
  const { weight = 1 } = sample;
  const labels = classesOf(sample);
  if (classWeights === undefined || labels.length === 0) return weight;
  return (weight * labels.reduce((sum, label) => sum + classWeights[label]!, 0)) / labels.length;
}

function throwInvalid(what: string, received: unknown, expected: string): never {
  throw new UsageError({ where: "class weights", what, received, expected });
}

/**
 * Reads a CSV file of weights: a name and a number from 0 on each line; a first line that ends in `weight` is a header. A name
 * with commas needs no quotes.
 * @param where the file's name in errors.
 * @throws {FormatError} a line is invalid, or a name is duplicated; the message gives the line number.
 */
export function readWeightList(text: string, where: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const { line, fields } of parseCsv(text, where)) {
    const row = fields.join(",");
    if (row.trim() === "" || (line === 1 && /,\s*weight\s*$/i.test(row))) continue;
    const name = fields.slice(0, -1).join(",").trim();
    const written = fields.at(-1)!.trim();
    const weight = written === "" ? Number.NaN : Number(written);
    const error = (what: string, expected: string) =>
      new FormatError({ where: `${where}, line ${line}`, what, received: row, expected });
    if (name === "" || !(weight >= 0 && weight < Infinity)) {
      throw error("this is not a name and its weight", "a name, a comma and a number from 0");
    }
    if (weights.has(name)) throw error("an earlier line has this name", "each name once");
    weights.set(name, weight);
  }
  if (weights.size === 0) throw new FormatError({ where, what: "it has no weights", expected: "lines of name,weight" });
  return weights;
}

/**
 * Returns the same samples with weights by name, 1 for those not in the list.
 * @param where name of the list in errors.
 * @throws {DataError} a name matches no sample.
 */
export function withSampleWeights(
  dataset: ImageDataset,
  weights: ReadonlyMap<string, number>,
  where: string,
): ImageDataset {
  const names = new Set(dataset.samples.map(({ name }) => name));
  const unknown = [...weights.keys()].filter((name) => !names.has(name));
  if (unknown.length > 0) {
    throw new DataError({
      where,
      what: `there are weights of images that the data set lacks (${unknown.length})`,
      received: unknown.slice(0, 3),
      expected: `names as in the data set, e.g. ${dataset.samples[0]?.name}`,
    });
  }
  return {
    ...dataset,
    samples: dataset.samples.map((sample) => ({ ...sample, weight: weights.get(sample.name) ?? 1 })),
  };
}
