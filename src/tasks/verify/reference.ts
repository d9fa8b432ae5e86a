import { FormatError, UsageError } from "../../errors.ts";
import type { Network } from "../../graph/network.ts";
import type { Tensors } from "../../platform.ts";
import { sameShape } from "../../tensor/shape.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { type Block, comparedBlocks, givesProbabilities } from "./blocks.ts";
import { compareWithGolden, statisticsOf } from "./compare.ts";
import { type Golden, goldenName } from "./golden.ts";
import { checkTaps } from "./network.ts";

/** What the runtimes are compared with. */
export interface Reference {
  /** Where its values come from, for people. */
  readonly description: string;
  readonly blocks: readonly Block[];
  /** Compares the outputs of the blocks' layers and of the network. */
  readonly compare: (outputs: Tensors) => Differences;
}

/** The largest differences from the reference; NaN where a value is. */
export interface Differences {
  /** One for each block, as a share of the standard deviation of the block's output. */
  readonly blocks: readonly number[];
  /** Of a probability, absolute; undefined where there is none to compare. */
  readonly probabilities: number | undefined;
}

/**
 * Compares with values of the same layers.
 * @param values by layer; those of the network's output may have another name in the network they come from.
 * @throws {FormatError} there is no layer that both have, and the outputs differ in shape.
 */
export function valuesReference(
  network: Network,
  values: Tensors,
  output: FloatTensor,
  description: string,
  where: string,
): Reference {
  const shapes = new Map(network.layers.map(({ name, outputShape }) => [name, outputShape]));
  const isShared = ({ layer }: Block) =>
    values[layer] !== undefined && sameShape(values[layer].shape.slice(1), shapes.get(layer)!);
  const isOutput = sameShape(output.shape.slice(1), shapes.get(network.output)!);
  const expected: Record<string, FloatTensor> = { ...(values as Record<string, FloatTensor>) };
  if (isOutput) expected[network.output] = output;
  const probabilities = isOutput && givesProbabilities(network);
  const last = { name: "output", layer: network.output };
  const ends = isOutput && !probabilities ? [last] : [];
  const blocks = [
    ...comparedBlocks(network).filter((each) => each.layer !== network.output && isShared(each)),
    ...ends,
  ];
  if (blocks.length === 0 && !isOutput) {
    throw new FormatError({
      where,
      what: "it has nothing in common with the model: no layer of the same name and shape, and another output",
      received: output.shape.slice(1),
      expected: `an output of the shape [${shapes.get(network.output)!.join(", ")}]`,
    });
  }
  return {
    description,
    blocks,
    compare: (outputs) => ({
      blocks: blocks.map(({ layer }) => {
        const { std } = statisticsOf(expected[layer]!.data);
        // A constant output has no spread to measure by.
        return largestDifference((outputs[layer] as FloatTensor).data, expected[layer]!.data) / (std || 1);
      }),
      probabilities: probabilities
        ? largestDifference((outputs[network.output] as FloatTensor).data, output.data)
        : undefined,
    }),
  };
}

/**
 * Compares with the values of a golden file.
 * @throws {FormatError} the file does not fit the network.
 * @throws {UsageError} it has nothing that can be compared.
 */
export function goldenReference(network: Network, golden: Golden, file: string): Reference {
  const where = goldenName(file);
  checkTaps(network, golden, where);
  const blocks = Object.keys(golden.taps).map((layer) => ({ name: /^block\d+/.exec(layer)?.[0] ?? layer, layer }));
  const hasProbabilities = givesProbabilities(network);
  if (blocks.length === 0 && !hasProbabilities) {
    throw new UsageError({ where, what: "it has probabilities alone, and the model gives none" });
  }
  return {
    description: `values in ${file}`,
    blocks,
    compare: (outputs) => {
      const probabilities = hasProbabilities ? (outputs[network.output] as FloatTensor) : undefined;
      const comparison = compareWithGolden(golden, outputs, probabilities, where);
      return {
        blocks: comparison.taps.map(({ difference, statisticsDifference }) =>
          Math.max(difference, statisticsDifference),
        ),
        probabilities: comparison.probabilities,
      };
    },
  };
}

/** NaN where one of them is. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let index = 0; index < a.length; index++) largest = Math.max(largest, Math.abs(a[index]! - b[index]!));
  return largest;
}
