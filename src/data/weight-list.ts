import { DataError, FormatError } from "../errors.ts";
import type { ImageDataset } from "./dataset.ts";

/**
 * Reads a CSV file of weights: a name and a number from 0 in each line, with a comma between; a first line that ends in `weight` is
 * a heading. Names with quotes around them may hold doubled quotes.
 * @param where how errors call the file.
 * @throws {FormatError} a line is none of these, or a name comes twice; the message has the line's number.
 */
export function readWeightList(text: string, where: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "" || (index === 0 && /,\s*"?weight"?\s*$/i.test(line))) continue;
    const comma = line.lastIndexOf(",");
    const name = unquote(line.slice(0, comma).trim());
    const written = line.slice(comma + 1).trim();
    const weight = written === "" ? Number.NaN : Number(written);
    const refuse = (what: string, expected: string): never => {
      throw new FormatError({ where: `${where}, line ${index + 1}`, what, received: line, expected });
    };
    if (comma < 1 || !(weight >= 0 && weight < Infinity)) {
      refuse("this is no name with its weight", "a name, a comma and a number from 0");
    }
    if (weights.has(name)) refuse("the name was in an earlier line", "each name once");
    weights.set(name, weight);
  }
  if (weights.size === 0) throw new FormatError({ where, what: "it has no weights", expected: "lines of name,weight" });
  return weights;
}

/**
 * The same samples with weights by name, 1 for those that the list leaves out.
 * @param where how errors call the list.
 * @throws {DataError} there is no sample of a name.
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

function unquote(text: string): string {
  return /^".*"$/.test(text) ? text.slice(1, -1).replaceAll('""', '"') : text;
}
