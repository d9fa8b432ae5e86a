import { OpGraphBuilder } from "../graph/op-builder.ts";
import type { OpConfig, Operation, OpGraph, OpKind, OpOf, Value } from "../graph/ops.ts";
import { dependents } from "../graph/ops.ts";
import { sameShape, sizeOf } from "../tensor/shape.ts";

/** Sizes at which batches are split into parts. */
export interface BatchLimits {
  /** A batch of feature maps up to this size, in bytes, stays whole. */
  readonly wholeBytes: number;
  /** A part has as many images as fit into this size, in bytes, where feature maps are largest; at least one. */
  readonly partBytes: number;
}

/** For CPUs with a last-level cache of some tens of megabytes; measured in bench/README.md. */
export const cacheLimits: BatchLimits = { wholeBytes: 16 * 2 ** 20, partBytes: 8 * 2 ** 20 };

/**
 * Pass for CPUs: where a batch of feature maps is larger than the cache, operators work on a few images at a time, so that
 * each finds its input in the cache. Sums over a batch (statistics, gradients of kernels) add up the parts' sums.
 *
 * The engine computes depth first, so a part passes through all operators up to the next sum; the order of the parts
 * alternates from one sum to the next, because the last part computed is still in the cache.
 * @param stored names of parameters that never change: values that depend on nothing else are left to the engine.
 */
export function splitBatch(graph: OpGraph, limits: BatchLimits, stored: Iterable<string> = []): OpGraph {
  const constant = new Set(stored);
  const fed = graph.parameters.flatMap(({ name }) => (constant.has(name) ? [] : [name]));
  const changing = constant.size > 0 ? dependents(graph, fed) : undefined;
  const isLarge = ({ shape }: Value) => shape.length === 4 && bytesOf(shape) > limits.wholeBytes;
  const batchesOf = (operation: Operation): readonly Value[] => {
    const isConstant = changing && !operation.inputs.some(({ name }) => changing.has(name));
    const batches = isConstant ? [] : batchesIn(operation);
    return batches.some(isLarge) ? batches : [];
  };
  const large = graph.operations.flatMap((operation) => (isElementwise(operation.config) ? [] : batchesOf(operation)));
  const batch = large.reduce((most, { shape }) => Math.max(most, shape[0]!), 0);
  // Others are single images of a batch, whose activations are watched.
  const isWhole = ({ shape }: Value) => shape[0] === batch;
  const sizes = partSizes(large.filter(isWhole), limits.partBytes);
  if (sizes.length < 2) return graph;
  const splitter = new BatchSplitter(graph, sizes);
  for (const operation of graph.operations) {
    const batches = batchesOf(operation).every(isWhole) ? batchesOf(operation) : [];
    const isVague = isElementwise(operation.config) && !splitter.hasParts(operation.inputs);
    if (batches.length > 0 && !isVague) splitter.writeInParts(operation, batches);
    else splitter.writeWhole(operation);
  }
  return splitter.finish(graph.outputs);
}

/** Number of images in each part; parts differ by one image at most. */
function partSizes(batches: readonly Value[], partBytes: number): readonly number[] {
  const [first] = batches;
  if (!first) return [];
  const batch = first.shape[0]!;
  const imageBytes = Math.max(...batches.map(({ shape }) => bytesOf(shape) / batch));
  const parts = Math.ceil(batch / Math.max(1, Math.floor(partBytes / imageBytes)));
  const boundary = (index: number) => Math.round((index * batch) / parts);
  return Array.from({ length: parts }, (_, index) => boundary(index + 1) - boundary(index));
}

/** Rewrites a graph with some batches in parts. */
class BatchSplitter {
  readonly #build: OpGraphBuilder;
  /** Number of images in each part. */
  readonly #sizes: readonly number[];
  /** Whole values and values in parts, by their names in the original graph; some exist in both forms. */
  readonly #whole: Map<string, Value>;
  readonly #parts = new Map<string, readonly Value[]>();
  #isBackwards = false;

  constructor(graph: OpGraph, sizes: readonly number[]) {
    this.#build = new OpGraphBuilder({ ...graph, operations: [], outputs: new Map() });
    this.#sizes = sizes;
    const given = [...graph.inputs, ...graph.parameters, ...graph.constants];
    this.#whole = new Map(given.map((value) => [value.name, value]));
  }

  hasParts(values: readonly Value[]): boolean {
    return values.some(({ name }) => this.#parts.has(name));
  }

  finish(outputs: ReadonlyMap<string, Value>): OpGraph {
    for (const [name, value] of outputs) this.#build.output(name, this.#wholeOf(value));
    return this.#build.finish();
  }

  writeWhole({ config, inputs, outputs }: Operation): void {
    const part = config.kind === "slice" && this.#partWithin(config, inputs[0]!);
    if (part) {
      this.#define(outputs, [part]);
      return;
    }
    const operands = inputs.map((value) => this.#wholeOf(value));
    this.#define(outputs, this.#build.ops(config, operands, namesOf(outputs)));
  }

  /** @param batches the operands and results that are batches. */
  writeInParts({ config, inputs, outputs }: Operation, batches: readonly Value[]): void {
    const [y] = outputs as [Value];
    const results = this.#sizes.map((size, index) => {
      const operands = inputs.map((value) =>
        batches.includes(value) ? this.#partsOf(value)[index]! : this.#wholeOf(value),
      );
      const own = "inputShape" in config ? { ...config, inputShape: [size, ...config.inputShape.slice(1)] } : config;
      const names = outputs.map((output) => partName(output, index));
      return this.#build.ops(own, operands, names);
    });
    const first = results.map(([part]) => part!);
    if (batches.includes(y)) this.#parts.set(y.name, first);
    else if (outputs.length === 1) this.#define(outputs, [this.#sum(first, y.name)]);
    else this.#define(outputs, this.#totals(config, results, namesOf(outputs)));
  }

  /** Adds up the vectors of all parts, concatenated, so that those of a part are computed while it is in the cache. */
  #totals(config: OpConfig, parts: readonly (readonly Value[])[], names: readonly string[]): readonly Value[] {
    const build = this.#build;
    const isMean = config.kind === "channelMoments";
    const joined = parts.map((vectors, index) => {
      const all = build.op({ kind: "concatenate", axis: 0 }, vectors, `${names[0]}/joined${index}`);
      return isMean ? build.op({ kind: "multiply" }, [all, build.constant(this.#sizes[index]!)], all.name) : all;
    });
    const sum = this.#sum(joined, `${names[0]}/sum`);
    const batch = build.constant(this.#sizes.reduce((all, size) => all + size));
    const total = isMean ? build.op({ kind: "divide" }, [sum, batch], `${names[0]}/mean`) : sum;
    let end = 0;
    return parts[0]!.map(({ shape: [size] }, index) => {
      const start = end;
      end += size!;
      return build.op({ kind: "slice", axis: 0, start, end }, [total], names[index]!);
    });
  }

  /** The engine computes the operands of the first addition first. */
  #sum(parts: readonly Value[], name: string): Value {
    this.#isBackwards = !this.#isBackwards;
    const ordered = this.#isBackwards ? parts.toReversed() : parts;
    const last = ordered.length - 1;
    return ordered.reduce((sum, part, index) =>
      this.#build.op({ kind: "add" }, [sum, part], index === last ? name : `${name}/sum`),
    );
  }

  #define(values: readonly Value[], written: readonly Value[]): void {
    for (const [index, { name }] of values.entries()) this.#whole.set(name, written[index]!);
  }

  #partsOf(value: Value): readonly Value[] {
    const known = this.#parts.get(value.name);
    if (known) return known;
    const whole = this.#wholeOf(value);
    const parts = this.#sizes.map((size, index) => {
      const start = this.#startOf(index);
      return this.#build.op({ kind: "slice", axis: 0, start, end: start + size }, [whole], partName(value, index));
    });
    this.#parts.set(value.name, parts);
    return parts;
  }

  #wholeOf(value: Value): Value {
    const known = this.#whole.get(value.name);
    if (known) return known;
    const parts = this.#parts.get(value.name)!;
    const whole = this.#build.op({ kind: "concatenate", axis: 0 }, parts, value.name);
    this.#whole.set(value.name, whole);
    return whole;
  }

  /** Slices a value that exists in parts only, if one part contains the slice. */
  #partWithin({ axis, start, end }: OpOf<"slice">, { name }: Value): Value | undefined {
    const parts = axis === 0 && !this.#whole.has(name) ? this.#parts.get(name) : undefined;
    const index = this.#sizes.findIndex(
      (size, each) => this.#startOf(each) <= start && end <= this.#startOf(each) + size,
    );
    if (!parts || index < 0) return undefined;
    const first = this.#startOf(index);
    return this.#build.op({ kind: "slice", axis, start: start - first, end: end - first }, [parts[index]!]);
  }

  /** The first image of a part. */
  #startOf(index: number): number {
    return this.#sizes.slice(0, index).reduce((sum, size) => sum + size, 0);
  }
}

function partName({ name }: Value, index: number): string {
  return `${name}/part${index}`;
}

function namesOf(values: readonly Value[]): readonly string[] {
  return values.map(({ name }) => name);
}

function bytesOf(shape: readonly number[]): number {
  return sizeOf(shape) * Float32Array.BYTES_PER_ELEMENT;
}

/**
 * Number of leading operands that are batches `[N, C, H, W]`, for operators that work on each image of a batch separately,
 * or sum over a batch.
 */
const batchOperands: { readonly [K in OpKind]?: number } = {
  conv: 1,
  convInputGradient: 1,
  convFilterGradient: 2,
  batchNormalization: 1,
  batchNormalizationAffineGradient: 2,
  channelMoments: 1,
  scaledSum: 2,
  maxPool: 1,
  maxPoolGradient: 3,
  averagePool: 1,
  pad: 1,
  relu: 1,
  reluGradient: 2,
  elu: 1,
  eluGradient: 2,
  leakyRelu: 1,
  leakyReluGradient: 2,
  fakeQuantize: 1,
  fakeQuantizeGradient: 2,
};

function isElementwise({ kind }: OpConfig): boolean {
  return kind === "add" || kind === "subtract" || kind === "multiply";
}

/** Operands and results that are batches of feature maps, if the operator can be computed for some images at a time. */
function batchesIn({ config, inputs, outputs }: Operation): readonly Value[] {
  const [y] = outputs as readonly [Value];
  const isBatch = ({ shape }: Value) => shape.length === 4;
  if (isElementwise(config)) return [...inputs, y].filter((value) => isBatch(value) && sameShape(value.shape, y.shape));
  const joins = config.kind === "concatenate" || config.kind === "slice";
  const isChannelSum = config.kind === "reduceSum" && sameShape(config.axes, [0, 2, 3]) && !config.keepDims;
  const count = isChannelSum ? 1 : joins && config.axis > 0 ? inputs.length : batchOperands[config.kind];
  if (count === undefined) return [];
  const sums = config.kind === "convFilterGradient" || outputs.every(({ shape }) => shape.length === 1);
  return [...inputs.slice(0, count), ...(sums ? [] : [y])].filter(isBatch);
}
