import { FormatError } from "../../base/errors.ts";
import type { Tensors } from "../../base/platform.ts";
import { type Network, networkWeights, outputActivation, outputLayer } from "../../graph/network.ts";
import { type Shape, sameShape } from "../../tensor/shape.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { type Golden, type GoldenTap, goldenName } from "./golden.ts";

/** A part of a network, and the layer whose output represents it. */
export interface Block {
  readonly name: string;
  readonly layer: string;
}

/** Expected values of a network: those of the model itself, of another file, or of a golden file. */
export interface Reference {
  /** Description of the reference, for humans. */
  readonly description: string;
  readonly blocks: readonly Block[];
  /** Compares the outputs of the blocks' layers and of the network. */
  readonly compare: (outputs: Tensors) => Differences;
}

/** The largest differences from the reference; NaN if a value is NaN. */
export interface Differences {
  /** One per block, as a share of the standard deviation of the block's output. */
  readonly blocks: readonly number[];
  /** Absolute difference of a probability; undefined if there is none to compare. */
  readonly probabilities: number | undefined;
}

/** Difference of a layer's output from the golden one, as a share of the golden output's standard deviation. */
export interface TapDifference {
  readonly layer: string;
  /** With the batch axis, channels last. */
  readonly shape: Shape;
  /** Number of values compared. */
  readonly samples: number;
  /** The largest difference of a sampled value. */
  readonly difference: number;
  /** The largest difference of mean, standard deviation, minimum and maximum, as far as the file has them. */
  readonly statisticsDifference: number;
}

/** Layers that end a part of a network without numbered blocks. */
const ends: ReadonlySet<string> = new Set(["Add", "MaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"]);

/**
 * The parts of a network in their order: its blocks, where layers are called `block1_…`, each up to the last layer of its
 * name; otherwise the parts between sums and poolings, named after the layer at their end.
 */
export function comparedBlocks(network: Network): readonly Block[] {
  const numbered = new Map<string, string>();
  for (const { name } of network.layers) {
    const block = /^block\d+/.exec(name)?.[0];
    if (block !== undefined) numbered.set(block, name);
  }
  if (numbered.size >= 2) return [...numbered].map(([name, layer]) => ({ name, layer }));
  return network.layers.filter(({ config }) => ends.has(config.type)).map(({ name }) => ({ name, layer: name }));
}

/** Returns whether a network ends in probabilities, from 0 to 1. */
function givesProbabilities(network: Network): boolean {
  return ["softmax", "sigmoid"].includes(outputActivation(network));
}

/**
 * Compares with values of the same layers.
 * @param values by layer; those of the network's output may have another name in the network they come from.
 * @throws {FormatError} no layer is in both, and the outputs differ in shape.
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
 * @throws {FormatError} the file does not fit the network, or has values that the network does not compute.
 */
export function goldenReference(network: Network, golden: Golden, file: string): Reference {
  checkGolden(network, golden, goldenName(file));
  const names = [...Object.keys(golden.taps), ...(golden.features ? [featuresLayer(network)] : [])];
  return {
    description: `values in ${file}`,
    blocks: names.map((layer) => ({ name: /^block\d+/.exec(layer)?.[0] ?? layer, layer })),
    compare: (outputs) => {
      const { taps, probabilities } = compareWithGolden(network, golden, outputs, goldenName(file));
      return {
        blocks: taps.map(({ difference, statisticsDifference }) => Math.max(difference, statisticsDifference)),
        probabilities,
      };
    },
  };
}

/** The layer of the golden `features`: the input of the classifier, or the output of a network without one. */
export function featuresLayer(network: Network): string {
  const isPooling = (type: string) => type === "GlobalAveragePooling2D" || type === "GlobalMaxPooling2D";
  const pooling = network.layers.findLast(({ config }) => isPooling(config.type));
  return outputLayer(network).config.type === "Dense" && pooling ? pooling.name : network.output;
}

/** @throws {FormatError} the file refers to a layer, shape, weight or class that the network does not have. */
export function checkGolden(network: Network, golden: Golden, where: string): void {
  const shapes = new Map(network.layers.map(({ name, outputShape }) => [name, outputShape]));
  const unknown = Object.keys(golden.taps).find((layer) => !shapes.has(layer));
  if (unknown !== undefined) {
    throw new FormatError({
      where: `${where}, tap "${unknown}"`,
      what: `network "${network.name}" has no layer of this name`,
      remedy: "Is it of another variant, or without its top?",
    });
  }
  for (const [layer, { shape }] of Object.entries(golden.taps)) {
    const outputShape = shapes.get(layer)!;
    if (sameShape(outputShape, shape.slice(1))) continue;
    throw new FormatError({
      where: `${where}, tap "${layer}"`,
      what: "the layer's output has another shape",
      received: shape.slice(1),
      expected: `[${outputShape.join(", ")}]`,
      remedy: "Is it of another input shape?",
    });
  }
  const specs = networkWeights(network);
  for (const [index, name, shape, trains] of golden.weights ?? []) {
    const spec = specs[index];
    const isSame = spec?.name === name && sameShape(spec.shape, shape) && (trains ?? spec.trainable) === spec.trainable;
    if (isSame) continue;
    throw new FormatError({
      where: `${where}, weight ${index}`,
      what: "the network has another weight there",
      received: `${name} [${shape.join(", ")}]`,
      expected: spec ? `${spec.name} [${spec.shape.join(", ")}], trainable: ${spec.trainable}` : "no weight",
    });
  }
  const field = (["probabilities", "probabilities_first_20", "top5"] as const).find((name) => golden[name]);
  if (field === undefined || givesProbabilities(network)) return;
  throw new FormatError({
    where: `${where}, field ${field}`,
    what: `network "${network.name}" has no probabilities to compare with`,
    remedy: "Is it of a network with its top?",
  });
}

/**
 * Compares a network's outputs with golden values. A difference is NaN where the network's value is.
 * @param outputs one for each tap under the layer's name, channels last, and those of the network and its features.
 * @throws {FormatError} the file has probabilities of more classes than the network, or more features.
 */
export function compareWithGolden(
  network: Network,
  golden: Golden,
  outputs: Tensors,
  where: string,
): { readonly taps: readonly TapDifference[]; readonly probabilities: number | undefined } {
  const taps = Object.entries(golden.taps).map(([layer, tap]) => compareTap(layer, tap, outputs[layer] as FloatTensor));
  if (golden.features) {
    const layer = featuresLayer(network);
    taps.push(compareFeatures(layer, golden.features, outputs[layer] as FloatTensor, where));
  }
  const hasProbabilities = golden.probabilities ?? golden.probabilities_first_20 ?? golden.top5;
  return {
    taps,
    probabilities: hasProbabilities && compareProbabilities(golden, outputs[network.output] as FloatTensor, where),
  };
}

/** Compares statistics and sampled values of one layer. */
export function compareTap(layer: string, tap: GoldenTap, { data, shape }: FloatTensor): TapDifference {
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

/** Compares the global averages of a feature map's first channels; the row is called `mean of …`. */
export function compareMeans(layer: string, expected: readonly number[], { data, shape }: FloatTensor): TapDifference {
  const channels = shape.at(-1)!;
  const sums = new Float64Array(channels);
  for (const [index, value] of data.entries()) sums[index % channels]! += value;
  const means = Float32Array.from(expected, (_, channel) => (sums[channel]! * channels) / data.length);
  const wanted = Float32Array.from(expected);
  const difference = largestDifference(means, wanted) / (statisticsOf(wanted).std || 1);
  return {
    layer: `mean of ${layer}`,
    shape: [1, channels],
    samples: means.length,
    difference,
    statisticsDifference: 0,
  };
}

function compareFeatures(
  layer: string,
  rows: readonly (readonly number[])[],
  { data, shape }: FloatTensor,
  where: string,
): TapDifference {
  const length = data.length / shape[0]!;
  const expected = Float32Array.from(rows.flat());
  const own = rows.flatMap((row, index) => {
    if (row.length <= length) return [...data.subarray(index * length, index * length + row.length)];
    const received = row.length;
    throw new FormatError({
      where: `${where}, field features`,
      what: "it has more features than the network",
      received,
      expected: `at most ${length}`,
    });
  });
  const difference = largestDifference(Float32Array.from(own), expected) / (statisticsOf(expected).std || 1);
  return { layer, shape, samples: own.length, difference, statisticsDifference: 0 };
}

function compareProbabilities(golden: Golden, { data, shape }: FloatTensor, where: string): number {
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
  return Math.max(...differences);
}

/** Returns mean, standard deviation, minimum and maximum of all values. */
function statisticsOf(data: Float32Array) {
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

/** Maximum; NaN if any value is NaN. */
function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let index = 0; index < a.length; index++) largest = Math.max(largest, Math.abs(a[index]! - b[index]!));
  return largest;
}
