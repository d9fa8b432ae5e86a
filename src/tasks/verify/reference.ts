import { FormatError } from "../../base/errors.ts";
import type { Tensors } from "../../base/platform.ts";
import { type Network, networkWeights, outputActivation, outputLayer } from "../../graph/network.ts";
import { topIndex } from "../../models/parts.ts";
import { type Shape, sameShape } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
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
  /** Compares the outputs of the network and of the blocks' layers, channels last; a NaN gives NaN. */
  readonly compare: (outputs: Tensors) => Differences;
}

/** The largest differences from the reference. */
interface Differences {
  /** One per block. */
  readonly taps: readonly TapDifference[];
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
const ends: ReadonlySet<string> = new Set([
  "Add",
  "Concatenate",
  "MaxPooling2D",
  "GlobalAveragePooling2D",
  "GlobalMaxPooling2D",
]);

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
  const expected = { ...values, ...(isOutput && { [network.output]: output }) };
  const isClassifier = isOutput && givesProbabilities(network);
  const blocks = [
    ...comparedBlocks(network).filter((each) => each.layer !== network.output && isShared(each)),
    ...(isOutput && !isClassifier ? [{ name: "output", layer: network.output }] : []),
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
      taps: blocks.map(({ layer }) => {
        const { data } = expected[layer] as FloatTensor;
        return compareTap(layer, { values: data }, outputs[layer] as FloatTensor, statisticsOf(data).std);
      }),
      probabilities: isClassifier
        ? compareTap("", { values: output.data }, outputs[network.output] as FloatTensor, 1).difference
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
    compare: (outputs) => compareWithGolden(network, golden, outputs, goldenName(file)),
  };
}

/** The layer of the golden `features`: the input of the classifier, or the output of a network without one. */
export function featuresLayer(network: Network): string {
  const pooling = network.layers[topIndex(network) ?? -1];
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
 * Compares a network's outputs with golden values.
 * @param outputs one for each tap under the layer's name, channels last, and those of the network and its features.
 * @throws {FormatError} the file has probabilities of more classes than the network, or more features.
 */
export function compareWithGolden(network: Network, golden: Golden, outputs: Tensors, where: string): Differences {
  const { features, probabilities, probabilities_first_20, top5 } = golden;
  const taps = Object.entries(golden.taps).map(([layer, tap]) => compareTap(layer, tap, outputs[layer] as FloatTensor));
  if (features) {
    const layer = featuresLayer(network);
    const output = outputs[layer] as FloatTensor;
    const length = output.data.length / output.shape[0]!;
    const tooLong = features.find((row) => row.length > length);
    if (tooLong) {
      throw new FormatError({
        where: `${where}, field features`,
        what: "it has more features than the network",
        received: tooLong.length,
        expected: `at most ${length}`,
      });
    }
    const expected = sampledRows(features.map(indexed), length);
    taps.push(compareTap(layer, expected, output, statisticsOf(expected.values).std));
  }
  const output = outputs[network.output] as FloatTensor;
  const differences = Object.entries({
    probabilities: probabilities?.map(indexed),
    probabilities_first_20: probabilities_first_20?.map(indexed),
    top5,
  }).flatMap(([field, rows]) => {
    if (rows === undefined) return [];
    const classes = output.shape[1]!;
    const unknown = rows.flat().find(([index]) => index >= classes);
    if (unknown) {
      throw new FormatError({
        where: `${where}, field ${field}`,
        what: "it has a class that the network does not have",
        received: `class ${unknown[0]}`,
        expected: `0 to ${classes - 1}`,
        remedy: "Is it of another number of classes?",
      });
    }
    return compareTap(field, sampledRows(rows, classes), output, 1).difference;
  });
  return { taps, probabilities: differences.length > 0 ? Math.max(...differences) : undefined };
}

const indexed = (row: readonly number[]) => [...row.entries()];

/** Values expected at some places of each row of an output `[N, length]`. */
function sampledRows(rows: readonly (readonly (readonly [index: number, value: number])[])[], length: number) {
  return {
    at: rows.flatMap((row, position) => row.map(([index]) => position * length + index)),
    values: rows.flatMap((row) => row.map(([, value]) => value)),
  };
}

const statistics = ["mean", "std", "min", "max"] as const;

/** Expected values of a layer's output, all of them or those at the flat indices `at`, and statistics. */
interface ExpectedOutput extends Partial<Pick<GoldenTap, "at" | (typeof statistics)[number]>> {
  readonly values: ArrayLike<number>;
}

/** Compares values and statistics of one layer, in units of the standard deviation. */
export function compareTap(
  layer: string,
  { at, values, ...expected }: ExpectedOutput,
  { data, shape }: FloatTensor,
  unit = expected.std,
): TapDifference {
  // A constant output has no spread to measure by.
  const scale = unit || 1;
  let difference = 0;
  for (let position = 0; position < values.length; position++) {
    difference = Math.max(difference, Math.abs(data[at?.[position] ?? position]! - values[position]!));
  }
  const known = statistics.filter((name) => expected[name] !== undefined);
  const own = known.length > 0 ? statisticsOf(data) : undefined;
  const statisticsDifference = Math.max(0, ...known.map((name) => Math.abs(own![name] - expected[name]!)));
  return {
    layer,
    shape,
    samples: values.length,
    difference: difference / scale,
    statisticsDifference: statisticsDifference / scale,
  };
}

/** Compares the global averages of a feature map's first channels; the row is called `mean of …`. */
export function compareMeans(layer: string, values: readonly number[], { data, shape }: FloatTensor): TapDifference {
  const channels = shape.at(-1)!;
  const sums = new Float64Array(channels);
  for (const [index, value] of data.entries()) sums[index % channels]! += value;
  const means = Float32Array.from(sums, (sum) => (sum * channels) / data.length);
  return compareTap(`mean of ${layer}`, { values }, floatTensor([1, channels], means), statisticsOf(values).std);
}

/** Returns mean, standard deviation, minimum and maximum of all values. */
export function statisticsOf(values: ArrayLike<number>) {
  let [sum, min, max] = [0, Infinity, -Infinity];
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    sum += value;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const mean = sum / values.length;
  let squares = 0;
  for (let index = 0; index < values.length; index++) squares += (values[index]! - mean) ** 2;
  return { mean, std: Math.sqrt(squares / values.length), min, max };
}
