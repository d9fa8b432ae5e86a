import { FormatError } from "../../errors.ts";
import type { Tensors } from "../../platform.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import type { Golden, GoldenTap } from "./golden.ts";

/** How far a layer's output is from the golden one, as a share of the golden output's standard deviation. */
export interface TapDifference {
  readonly layer: string;
  /** With the batch axis, channels last. */
  readonly shape: Shape;
  /** How many values were compared. */
  readonly samples: number;
  /** The largest difference of a sampled value. */
  readonly difference: number;
  /** The largest difference of mean, standard deviation, minimum and maximum, as far as the file has them. */
  readonly statisticsDifference: number;
}

export interface Comparison {
  readonly taps: readonly TapDifference[];
  /** The largest difference of a probability; undefined if the file or the network has none. */
  readonly probabilities: number | undefined;
}

/**
 * Compares a network's outputs with golden values. A difference is NaN where the network's value is.
 * @param outputs one for each tap under the layer's name, channels last.
 * @param probabilities `[N, classes]`, if the network ends with a classifier.
 * @throws {FormatError} the file has probabilities of more classes than the network.
 */
export function compareWithGolden(
  golden: Golden,
  outputs: Tensors,
  probabilities: FloatTensor | undefined,
  where: string,
): Comparison {
  const taps = Object.entries(golden.taps).map(([layer, tap]) => compareTap(layer, tap, outputs[layer] as FloatTensor));
  return { taps, probabilities: probabilities && compareProbabilities(golden, probabilities, where) };
}

function compareTap(layer: string, tap: GoldenTap, { data, shape }: FloatTensor): TapDifference {
  // A constant output has no spread to measure by.
  const scale = tap.std || 1;
  const sampled = tap.at.map((index, position) => Math.abs(data[index]! - tap.values[position]!));
  const own = statisticsOf(data);
  const names = ["mean", "std", "min", "max"] as const;
  const statistics = names.map((name) => (tap[name] === undefined ? 0 : Math.abs(own[name] - tap[name])));
  return {
    layer,
    shape,
    samples: sampled.length,
    difference: Math.max(...sampled) / scale,
    statisticsDifference: Math.max(...statistics) / scale,
  };
}

/** Over all values. */
export function statisticsOf(data: Float32Array) {
  let [sum, min, max] = [0, Infinity, -Infinity];
  for (const value of data) {
    sum += value;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const mean = sum / data.length;
  let squares = 0;
  for (const value of data) squares += (value - mean) ** 2;
  return { mean, std: Math.sqrt(squares / data.length), min, max };
}

function compareProbabilities(golden: Golden, { data, shape }: FloatTensor, where: string): number | undefined {
  const classes = shape[1]!;
  const differences: number[] = [];
  const compare = (field: string, row: number, index: number, expected: number): void => {
    if (index >= classes) {
      throw new FormatError({
        where: `${where}, field ${field}`,
        what: "it has a class that the network does not have",
        received: `class ${index}`,
        expected: `0 to ${classes - 1}`,
        remedy: "Is it of another number of classes?",
      });
    }
    differences.push(Math.abs(data[row * classes + index]! - expected));
  };
  for (const field of ["probabilities", "probabilities_first_20"] as const) {
    golden[field]?.forEach((values, row) => {
      for (const [index, value] of values.entries()) compare(field, row, index, value);
    });
  }
  golden.top5?.forEach((best, row) => {
    for (const [index, value] of best) compare("top5", row, index, value);
  });
  return differences.length > 0 ? Math.max(...differences) : undefined;
}
