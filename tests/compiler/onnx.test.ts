import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gradient } from "../../src/compiler/gradient.ts";
import { lower } from "../../src/compiler/lower.ts";
import { type OnnxOptions, toOnnx } from "../../src/compiler/onnx/onnx.ts";
import type { BatchLimits } from "../../src/compiler/split-batch.ts";
import {
  add,
  averagePooling2d,
  batchNormalization,
  type ConvOptions,
  concatenate,
  conv2d,
  dense,
  flatten,
  globalAveragePooling2d,
  input,
  type LayerOutput,
  leakyRelu,
  maxPooling2d,
  relu,
  separableConv2d,
  zeroPadding2d,
} from "../../src/graph/builder.ts";
import type { Size2 } from "../../src/graph/layers.ts";
import { network, networkWeights } from "../../src/graph/network.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import type { OpGraph, OpKind, Value } from "../../src/graph/ops.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createSession } from "../../src/runtime/node/engine.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import { type Shape, sizeOf } from "../../src/tensor/shape.ts";
import { floatTensor, type Tensor } from "../../src/tensor/tensor.ts";
import { channelBlock } from "../../src/train/step/step-program.ts";
import { interpret } from "../oracles/interpreter.ts";
import { opCases } from "../oracles/op-cases.ts";

/** The layout's block on this machine: 16 channels with AVX-512, 8 with AVX2. The engine takes no other. */
const blockSize = await channelBlock(nodePlatform);
const inBlocks = blockSize === undefined ? it.skip : it;

type Feeds = ReadonlyMap<string, Float64Array>;

/** Largest difference between the engine and the float64 interpreter, relative to each output's largest value. */
async function worstDifference(graph: OpGraph, feeds: Feeds, options: OnnxOptions = {}): Promise<number> {
  const expected = interpret(graph, feeds);
  const session = await createSession(toOnnx(graph, options), { threads: 1 });
  const tensors = [...graph.inputs, ...graph.parameters].map(({ name, shape, type }): [string, Tensor] => {
    const values = feeds.get(name)!;
    if (type === "uint8") return [name, { type, shape, data: Uint8Array.from(values) }];
    return [name, floatTensor(shape, Float32Array.from(values))];
  });
  const results = await session.run(Object.fromEntries(tensors));
  await session.dispose();
  let worst = 0;
  for (const [name, values] of expected) {
    const actual = results[name]!;
    expect(actual.shape).toEqual(graph.outputs.get(name)!.shape);
    const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-3);
    for (const [index, value] of values.entries()) {
      worst = Math.max(worst, Math.abs(Number(actual.data[index]) - value) / scale);
    }
  }
  return worst;
}

function numbers(shape: Shape, seed: number, low = -1, high = 1): Float64Array {
  const random = mulberry32(seed);
  // Rounded to float32 so that both sides start from the same numbers.
  return Float64Array.from({ length: sizeOf(shape) }, () => Math.fround(low + (high - low) * random()));
}

/** Operators whose operands have to fit together: what to compute first. */
const prepared: Partial<Record<OpKind, (build: OpGraphBuilder, inputs: readonly Value[], config: never) => Value[]>> = {
  maxPoolGradient: (build, [dy, x], config: object) => [
    dy!,
    x!,
    build.op({ ...config, kind: "maxPool" } as never, [x!]),
  ],
  batchNormalizationGradient: (build, [dy, x, gamma], { epsilon }: { epsilon: number }) => {
    const statistics = build.ops({ kind: "batchNormalizationTraining", epsilon }, [x!, gamma!, gamma!], []);
    return [dy!, x!, gamma!, statistics[1]!, statistics[2]!];
  },
  dequantizeLinear: (build, [x, scale]) => [
    build.op({ kind: "quantizeLinear", zeroPoint: 128 }, [x!, build.constant(2 ** -7)]),
    scale!,
  ],
};

const positive: readonly OpKind[] = [
  ...(["log", "sqrt", "divide", "batchNormalization", "batchNormalizationAffineGradient"] as const),
  ...(["quantizeLinear", "dequantizeLinear"] as const),
];

/** @param change of the numbers that are fed. */
async function compareOperator(kind: OpKind, options?: OnnxOptions, change = (value: number) => value): Promise<void> {
  for (const [seed, { config, inputs }] of fc
    .sample(opCases[kind] as fc.Arbitrary<never>, { numRuns: 12, seed: 7 })
    .map((each: { config: never; inputs: readonly Shape[] }) => each)
    .entries()) {
    const build = new OpGraphBuilder();
    const fed = (inputs as readonly Shape[]).map((shape, index) => build.input(`x${index}`, shape));
    const operands = prepared[kind]?.(build, fed, config) ?? fed;
    for (const [index, output] of build.ops(config, operands, []).entries()) build.output(`y${index}`, output);
    const [low, high] = positive.includes(kind) ? [0.5, 2] : [-1, 1];
    const feeds = new Map(
      fed.map((value, index) => [value.name, numbers(value.shape, seed * 10 + index, low, high).map(change)]),
    );
    const difference = await worstDifference(build.finish(), feeds, options);
    expect(difference, JSON.stringify({ config, inputs })).toBeLessThan(1e-5);
  }
}

describe("each operator in ONNX Runtime agrees with the interpreter", () => {
  it.each(Object.keys(opCases) as OpKind[])("%s", (kind) => compareOperator(kind));

  it("maxPoolGradient by comparison, where several candidates are the maximum, too", async () => {
    await compareOperator("maxPoolGradient", { comparesMaxima: true });
    await compareOperator("maxPoolGradient", { comparesMaxima: true }, (value) => Math.round(2 * value));
  });
});

describe("the gradient of an ordinary convolution's kernel in channel blocks agrees with the interpreter", () => {
  inBlocks.each([
    { layer: "the stem's", x: [3, 32, 9, 11], w: [64, 32, 3, 3], strides: [1, 1], pads: [0, 0, 0, 0] },
    { layer: "padded", x: [1, 20, 7, 6], w: [28, 20, 3, 5], strides: [1, 1], pads: [1, 2, 1, 2] },
    { layer: "of odd channels", x: [2, 46, 5, 6], w: [24, 46, 3, 3], strides: [1, 1], pads: [1, 1, 1, 1] },
    { layer: "strided", x: [2, 36, 8, 11], w: [20, 36, 3, 3], strides: [2, 2], pads: [0, 1, 1, 1] },
    {
      layer: "strided, the last pixels unseen",
      x: [2, 16, 8, 10],
      w: [4, 16, 3, 3],
      strides: [2, 3],
      pads: [0, 0, 0, 0],
    },
  ] as const)("$layer", async ({ x, w, strides, pads }) => {
    const build = new OpGraphBuilder();
    const outputSize = (axis: 0 | 1) =>
      Math.floor((x[axis + 2]! + pads[axis] + pads[axis + 2]! - w[axis + 2]!) / strides[axis]) + 1;
    const dyShape = [x[0], w[0], outputSize(0), outputSize(1)];
    const operands = [build.input("x", x), build.input("dy", dyShape)];
    const config = { kind: "convFilterGradient", strides, pads, groups: 1, kernelShape: w } as const;
    build.output("dw", build.op(config, operands));
    const feeds = new Map(operands.map(({ name, shape }, index) => [name, numbers(shape, index)]));
    expect(await worstDifference(build.finish(), feeds, { blockSize })).toBeLessThan(1e-5);
  });
});

describe("the gradient of a halving pooling in channel blocks agrees with the interpreter where maxima are tied", () => {
  inBlocks.each([
    { sizes: "odd", shape: [3, 20, 7, 9], pads: [1, 1, 1, 1] },
    { sizes: "even", shape: [1, 36, 8, 6], pads: [0, 0, 1, 1] },
    { sizes: "odd and even", shape: [2, 16, 5, 4], pads: [1, 0, 1, 1] },
    { sizes: "even and odd", shape: [2, 16, 2, 3], pads: [0, 1, 1, 1] },
  ] as const)("$sizes", async ({ shape, pads }) => {
    const [batch, channels, rows, columns] = shape;
    const build = new OpGraphBuilder();
    const image = build.input("image", shape);
    const kernel = build.input("kernel", [channels, channels, 1, 1]);
    const dy = build.input("dy", [batch, channels, Math.ceil(rows / 2), Math.ceil(columns / 2)]);
    // A convolution that changes nothing brings the image into blocks.
    const x = build.op({ kind: "conv", strides: [1, 1], pads: [0, 0, 0, 0], groups: 1 }, [image, kernel]);
    const window = { kernel: [3, 3], strides: [2, 2], pads } as const;
    const y = build.op({ ...window, kind: "maxPool" }, [x]);
    build.output("dx", build.op({ ...window, kind: "maxPoolGradient" }, [dy, x, y]));
    const identity = new Float64Array(channels * channels);
    for (let channel = 0; channel < channels; channel++) identity[channel * (channels + 1)] = 1;
    const feeds = new Map([
      // Never above 0, as the padding must not count as a maximum either.
      ["image", numbers(shape, 1, -2.5, 0.5).map((value) => Math.min(Math.round(value), 0))],
      ["kernel", identity],
      ["dy", numbers(dy.shape, 2)],
    ]);
    expect(await worstDifference(build.finish(), feeds, { blockSize })).toBeLessThan(1e-6);
  });
});

/** The article's blocks on a non-square image with channel counts that do not fill the engine's blocks. */
function smallNetwork(size: readonly [number, number], stem: number) {
  let x: LayerOutput = input([...size, 3]);
  let y: LayerOutput;
  x = relu(batchNormalization(conv2d(x, { filters: 8, kernelSize: 3, strides: 2, useBias: false })));
  x = relu(batchNormalization(conv2d(x, { filters: stem, kernelSize: 3, padding: "same", useBias: false })));
  const shortcut = batchNormalization(
    conv2d(x, { filters: 28, kernelSize: 1, strides: 2, padding: "same", useBias: false }),
  );
  x = relu(batchNormalization(separableConv2d(x, { filters: 28, kernelSize: 3, padding: "same", useBias: false })));
  x = batchNormalization(separableConv2d(x, { filters: 28, kernelSize: 3, padding: "same", useBias: false }));
  x = add([maxPooling2d(x, { kernelSize: 3, strides: 2, padding: "same" }), shortcut]);
  y = relu(x);
  y = separableConv2d(y, { filters: 28, kernelSize: 3, padding: "same", useBias: false });
  x = relu(add([batchNormalization(y), x]));
  // A bias right before a batch normalization would have a gradient of exactly 0, and nothing to compare.
  x = relu(separableConv2d(x, { filters: 36, kernelSize: 3, padding: "same" }));
  return network("small", dense(globalAveragePooling2d(x), { units: 5, activation: "softmax" }));
}

/** Every construct of Inception V3, branches whose channels fill the engine's blocks and others. */
function inceptionNetwork(size: readonly [number, number], stem: number) {
  const branch = (x: LayerOutput, filters: number, kernelSize: number | Size2, more: Partial<ConvOptions> = {}) => {
    const convolved = conv2d(x, { filters, kernelSize, padding: "same", useBias: false, ...more });
    return relu(batchNormalization(convolved, { scale: false }));
  };
  const average = (x: LayerOutput) => averagePooling2d(x, { kernelSize: 3, strides: 1, padding: "same" });
  let x: LayerOutput = branch(input([...size, 3]), 16, 3, { strides: 2, padding: "valid" });
  x = concatenate([
    branch(x, 32, 1),
    branch(branch(x, 16, [1, 7]), 16, [7, 1]),
    leakyRelu(conv2d(average(x), { filters: stem, kernelSize: 1 }), 0.1),
  ]);
  const around = zeroPadding2d(x, [
    [0, 1],
    [1, 0],
  ]);
  x = concatenate([
    branch(x, 12, 3, { strides: 2, padding: "valid" }),
    maxPooling2d(x, { kernelSize: 3, strides: 2 }),
    averagePooling2d(around, { kernelSize: 4, strides: 2 }),
  ]);
  const rows = concatenate([x, batchNormalization(branch(x, x.shape[2]!, 1), { center: false, scale: false })], {
    axis: 1,
  });
  const columns = concatenate([rows, rows], { axis: 2 });
  return network("inception", dense(flatten(columns), { units: 5, activation: "softmax" }));
}

interface StepCase {
  readonly network?: typeof smallNetwork;
  readonly layout: string;
  readonly inBlocks: boolean;
  readonly limits?: BatchLimits;
  readonly size: readonly [number, number];
  readonly stem: number;
  readonly batchSize: number;
}

describe("a whole training step agrees with the interpreter", () => {
  // Every batch is larger than nothing; an image of the largest layer has 8 to 40 kB here.
  const single = { wholeBytes: 0, partBytes: 1 };
  const several = { wholeBytes: 2000, partBytes: 60_000 };
  it.for([
    { layout: "channels first", inBlocks: false, size: [17, 14], stem: 20, batchSize: 3 },
    { layout: "in channel blocks", inBlocks: true, size: [17, 14], stem: 20, batchSize: 3 },
    { layout: "in channel blocks, fewer channels than a block", inBlocks: true, size: [15, 21], stem: 4, batchSize: 3 },
    { layout: "in channel blocks, more images than a block", inBlocks: true, size: [16, 19], stem: 32, batchSize: 18 },
    { layout: "in channel blocks, a wide image", inBlocks: true, size: [7, 131], stem: 20, batchSize: 2 },
    { layout: "in blocks, image by image", inBlocks: true, limits: single, size: [17, 14], stem: 20, batchSize: 3 },
    { layout: "in blocks, some images each", inBlocks: true, limits: several, size: [16, 19], stem: 32, batchSize: 7 },
    {
      layout: "channels first, image by image",
      inBlocks: false,
      limits: single,
      size: [17, 14],
      stem: 8,
      batchSize: 3,
    },
    { layout: "channels first, one image", inBlocks: false, size: [23, 20], stem: 24, batchSize: 1 },
    { layout: "in channel blocks, one image", inBlocks: true, size: [23, 20], stem: 24, batchSize: 1 },
    ...[
      { layout: "Inception, channels first", inBlocks: false, stem: 8, batchSize: 3 },
      { layout: "Inception, in channel blocks", inBlocks: true, stem: 32, batchSize: 3 },
      { layout: "Inception, in channel blocks not filled", inBlocks: true, stem: 20, batchSize: 2 },
      { layout: "Inception, in blocks, image by image", inBlocks: true, limits: single, stem: 32, batchSize: 3 },
    ].map((each) => ({ ...each, network: inceptionNetwork, size: [17, 14] })),
  ] as readonly StepCase[])("$layout", async ({ network, inBlocks, limits, size, stem, batchSize }, { skip }) => {
    skip(inBlocks && blockSize === undefined, "the engine has no channel blocks on this machine");
    const net = (network ?? smallNetwork)(size, stem);
    const { graph: forward, logits } = lower(net, { mode: "training", batchSize, outputs: [] });
    const build = new OpGraphBuilder(forward);
    const targets = build.input("targets", logits.shape);
    build.output("loss", softmaxCrossEntropy(build, logits, targets));
    const trainable = networkWeights(net).filter((spec) => spec.trainable);
    const { graph } = gradient(
      build.finish(),
      "loss",
      trainable.map((spec) => spec.name),
    );
    const feeds = new Map(
      [...graph.inputs, ...graph.parameters].map(({ name, shape }, index) => {
        const isScale = name.endsWith("gamma");
        return [name, numbers(shape, index, isScale ? 0.8 : -0.5, isScale ? 1.2 : 0.5)];
      }),
    );
    const oneHot = new Float64Array(batchSize * 5);
    for (let row = 0; row < batchSize; row++) oneHot[row * 5 + ((3 * row + 1) % 5)] = 1;
    feeds.set("targets", oneHot);
    expect(
      await worstDifference(graph, feeds, { blockSize: inBlocks ? blockSize : undefined, batchLimits: limits }),
    ).toBeLessThan(1e-4);
  });
});
