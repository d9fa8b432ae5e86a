import { setFlagsFromString } from "node:v8";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Session } from "../../src/base/platform.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import type { OpConfig, OpGraph, Value } from "../../src/graph/ops.ts";
import { decodeProgram } from "../../src/graph/program.ts";
import type { StoredType } from "../../src/graph/weights.ts";
import { startThread } from "../../src/runtime/node/wasm-threads.ts";
import { createProgramSession, type ProgramSessionOptions } from "../../src/runtime/wasm/session.ts";
import { fromHalf, toHalf } from "../../src/tensor/half.ts";
import { type Shape, sizeOf } from "../../src/tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor/tensor.ts";
import { interpret } from "../oracles/interpreter.ts";

// Node 20 has relaxed SIMD behind this flag.
beforeAll(() => setFlagsFromString("--experimental-wasm-relaxed-simd"));

/** Numbers from −1 to 1 without a pattern that kernels could share. */
function numbers(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => Math.sin(seed * 7.3 + index * (1.7 + seed / 10)));
}

/** A graph under construction whose weights have values. */
class SmallNetwork {
  readonly build = new OpGraphBuilder();
  readonly weights = new Map<string, FloatTensor>();
  readonly input: Value;

  constructor(size: Shape) {
    this.input = this.build.input("images", [1, ...size]);
  }

  /** The input, channels first. */
  images(): Value {
    return this.op({ kind: "transpose", permutation: [0, 3, 1, 2] }, this.input);
  }

  op(config: OpConfig, ...inputs: Value[]): Value {
    return this.build.op(config, inputs);
  }

  weight(shape: Shape, scale = 1): Value {
    const name = `weight ${this.weights.size}`;
    const values = numbers(sizeOf(shape), this.weights.size + 1).map((value) => value * scale);
    this.weights.set(name, floatTensor(shape, values));
    return this.build.parameter(name, shape);
  }

  conv(x: Value, filters: number, kernel: number, { stride = 1, pad = 0, bias = true } = {}): Value {
    const config = { kind: "conv", groups: 1, strides: [stride, stride], pads: [pad, pad, pad, pad] } as const;
    const operands = [x, this.weight([filters, x.shape[1]!, kernel, kernel], 0.3)];
    return this.op(config, ...operands, ...(bias ? [this.weight([filters])] : []));
  }

  depthwise(x: Value, kernel: number, { stride = 1, pad = 1, bias = false } = {}): Value {
    const channels = x.shape[1]!;
    const config = { kind: "conv", groups: channels, strides: [stride, stride], pads: [pad, pad, pad, pad] } as const;
    return this.op(config, x, this.weight([channels, 1, kernel, kernel]), ...(bias ? [this.weight([channels])] : []));
  }

  output(name: string, value: Value): void {
    const isImage = value.shape.length === 4;
    this.build.output(name, isImage ? this.op({ kind: "transpose", permutation: [0, 2, 3, 1] }, value) : value);
  }

  program(storedAs?: StoredType): Uint8Array {
    return compileGraph(this.build.finish(), this.weights, { form: "program", storedAs });
  }
}

/** Outputs of the interpreter for several images. */
function expectedOutputs({ build, weights, input }: SmallNetwork, images: FloatTensor): Map<string, number[]> {
  const graph: OpGraph = build.finish();
  const fixed = [...weights].map(([name, { data }]) => [name, Float64Array.from(data)] as const);
  const size = sizeOf(input.shape);
  const all = new Map<string, number[]>();
  for (let image = 0; image < images.shape[0]!; image++) {
    const data = Float64Array.from(images.data.subarray(image * size, (image + 1) * size));
    const outputs = interpret(graph, new Map([...fixed, ["images", data]]));
    for (const [name, values] of outputs) all.set(name, [...(all.get(name) ?? []), ...values]);
  }
  return all;
}

async function expectInterpreted(network: SmallNetwork, session: Session, images: FloatTensor): Promise<void> {
  const outputs = await session.run({ images });
  const expected = expectedOutputs(network, images);
  expect(Object.keys(outputs)).toEqual([...expected.keys()]);
  for (const [name, values] of expected) {
    const { data } = outputs[name] as FloatTensor;
    expect(data.length, name).toBe(values.length);
    const scale = Math.max(1, ...values.map(Math.abs));
    const difference = values.reduce((largest, value, index) => Math.max(largest, Math.abs(value - data[index]!)), 0);
    // Sums of up to 1,170 numbers in float32.
    expect(difference / scale, name).toBeLessThan(5e-6);
  }
}

/** Every kind of step, at sizes that no tile, vector or thread divides. */
function allSteps(): SmallNetwork {
  const net = new SmallNetwork([11, 13, 3]);
  const [relu, add] = [{ kind: "relu" }, { kind: "add" }] as const;
  const stem = net.op(relu, net.conv(net.images(), 11, 3, { stride: 2 }));
  net.output("stem", stem);
  const wide = net.conv(stem, 21, 3, { pad: 1 });
  net.output("wide", wide);
  const separable = net.conv(net.depthwise(net.op(relu, wide), 3), 21, 1);
  net.output("residual", net.op(relu, net.op(add, separable, wide)));
  net.output("depthwise", net.op(relu, net.depthwise(wide, 3, { bias: true })));
  net.output(
    "depthwise, stride 2",
    net.conv(net.op(relu, net.depthwise(wide, 5, { stride: 2, pad: 2, bias: true })), 9, 1),
  );
  const grouped = { kind: "conv", groups: 3, strides: [2, 1], pads: [1, 1, 0, 1] } as const;
  net.output("grouped", net.op(relu, net.op(grouped, wide, net.weight([6, 7, 3, 3], 0.3), net.weight([6]))));
  net.output("strided", net.conv(wide, 8, 1, { stride: 2, bias: false }));
  net.output("sum", net.op(add, wide, net.op({ kind: "leakyRelu", slope: 0.25 }, wide)));
  net.output("elu", net.op({ kind: "elu" }, wide));
  net.output("sigmoid", net.op({ kind: "sigmoid" }, wide));
  const window = { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] } as const;
  const pooled = net.op({ kind: "maxPool", ...window }, wide);
  const averaged = net.op({ kind: "averagePool", ...window }, wide);
  net.output("pool", pooled);
  const joined = net.op({ kind: "concatenate", axis: 1 }, pooled, averaged, net.conv(pooled, 5, 1));
  const lower = net.op({ kind: "concatenate", axis: 2 }, joined, joined);
  net.output("joined", net.op({ kind: "concatenate", axis: 3 }, lower, lower));
  net.output("slice", net.op({ kind: "slice", axis: 1, start: 2, end: 7 }, joined));
  net.output("sum of channels", net.op({ kind: "reduceSum", axes: [1], keepDims: true }, joined));
  const padded = net.op({ kind: "pad", pads: [1, 2, 3, 0] }, joined);
  const statistics = [1, 1, 1, 0].map((offset) => {
    const vector = net.weight([padded.shape[1]!], 0.2);
    const { name } = vector;
    net.weights.set(
      name,
      floatTensor(
        vector.shape,
        net.weights.get(name)!.data.map((value) => value + offset),
      ),
    );
    return vector;
  });
  const [gamma, beta, variance, mean] = statistics as [Value, Value, Value, Value];
  const normalized = net.op({ kind: "batchNormalization", epsilon: 1e-3 }, padded, gamma, beta, mean, variance);
  net.output("normalized", net.op(relu, normalized));
  const vector = net.op({ kind: "reduceMean", axes: [2, 3], keepDims: false }, normalized);
  const flat = net.op({ kind: "transpose", permutation: [0, 2, 3, 1] }, net.conv(stem, 3, 1));
  const dense = (x: Value, units: number) => {
    const product = { kind: "matMul", transposeA: false, transposeB: false } as const;
    return net.op(add, net.op(product, x, net.weight([x.shape[1]!, units], 0.2)), net.weight([units]));
  };
  net.output("logits", dense(net.op({ kind: "reshape", shape: [1, sizeOf(flat.shape)] }, flat), 10));
  net.output("probabilities", net.op({ kind: "softmax" }, dense(net.op(relu, dense(vector, 17)), 13)));
  return net;
}

const builds = ["relaxed", "plain"] as const;

describe.each(builds.flatMap((build) => [1, 2].map((threads) => ({ build, threads }))))(
  "$build SIMD, threads: $threads",
  (options) => {
    const network = allSteps();
    let session: Session;
    beforeAll(async () => {
      session = await createProgramSession(network.program(), { ...options, startThread });
    });
    afterAll(() => session.dispose());

    it("computes every step as the interpreter does, for each image of a batch", async () => {
      await expectInterpreted(network, session, floatTensor([2, 11, 13, 3], numbers(858, 3)));
    });

    it("computes the same again, and other images", async () => {
      const images = floatTensor([1, 11, 13, 3], numbers(429, 5));
      const first = await session.run({ images });
      expect(await session.run({ images })).toEqual(first);
      await expectInterpreted(network, session, floatTensor([1, 11, 13, 3], numbers(429, 8)));
    });
  },
);

async function run(network: SmallNetwork, images: FloatTensor, options: ProgramSessionOptions): Promise<void> {
  const session = await createProgramSession(network.program(), options);
  await expectInterpreted(network, session, images);
  await session.dispose();
}

describe.each(builds)("%s SIMD", (build) => {
  it("multiplies matrices deeper than a block and wider than a tile", async () => {
    for (const [channels, filters, kernel] of [
      [1100, 9, 1],
      [130, 7, 3],
      [513, 24, 1],
    ] as const) {
      const network = new SmallNetwork([4, 5, channels]);
      network.output("y", network.conv(network.images(), filters, kernel, { pad: kernel === 3 ? 1 : 0 }));
      const separable = network.depthwise(network.images(), 3);
      network.output("z", network.op({ kind: "relu" }, network.conv(separable, filters, 1)));
      await run(network, floatTensor([1, 4, 5, channels], numbers(20 * channels, 2)), { build });
    }
  });

  it("slides windows of any size, stride and padding over images of any size", async () => {
    const window = fc.record({
      size: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
      channels: fc.integer({ min: 1, max: 9 }),
      filters: fc.integer({ min: 1, max: 17 }),
      kernel: fc.integer({ min: 1, max: 4 }),
      stride: fc.integer({ min: 1, max: 3 }),
      pad: fc.nat(2),
      kind: fc.constantFrom("conv", "depthwise", "separable", "maxPool", "averagePool"),
      isRelu: fc.boolean(),
    });
    const property = fc.asyncProperty(
      window,
      async ({ size, channels, filters, kernel, stride, pad, kind, isRelu }) => {
        fc.pre(pad < kernel && Math.min(...size) + 2 * pad >= kernel);
        const network = new SmallNetwork([...size, channels]);
        const x = isRelu ? network.op({ kind: "relu" }, network.images()) : network.images();
        const options = { stride, pad };
        let y: Value;
        if (kind === "conv") y = network.conv(x, filters, kernel, options);
        else if (kind === "depthwise") y = network.depthwise(x, kernel, options);
        else if (kind === "separable") y = network.conv(network.depthwise(x, kernel, options), filters, 1);
        else {
          const both = { kernel: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad] } as const;
          y = network.op({ kind, ...both }, x);
        }
        network.output("y", y);
        await run(network, floatTensor([1, ...size, channels], numbers(sizeOf(size) * channels, 4)), { build });
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });
});

/** A kernel's weights as they are after storing them as int8: steps of a 127th of each filter's largest. */
function inSteps({ shape, data }: FloatTensor): FloatTensor {
  const size = data.length / shape[0]!;
  const scales = Array.from({ length: shape[0]! }, (_, filter) => {
    return Math.max(...data.subarray(filter * size, (filter + 1) * size).map(Math.abs)) / 127;
  });
  const rounded = data.map((value, index) => {
    const scale = Math.fround(scales[Math.floor(index / size)]!);
    return Math.round(value / scale) * scale;
  });
  return floatTensor(shape, rounded);
}

const inHalf = ({ shape, data }: FloatTensor) => floatTensor(shape, fromHalf(toHalf(data)));

describe("weights of a program", () => {
  it.each([
    ["float16", inHalf],
    ["int8", inSteps],
  ] as const)("may be stored as %s", async (storedAs, rounded) => {
    const network = new SmallNetwork([5, 5, 20]);
    network.output("y", network.conv(network.depthwise(network.images(), 3), 19, 1));
    const bytes = network.program(storedAs);
    const stored = decodeProgram(bytes).program.weights.map(({ type }) => type);
    // Depthwise kernels are small and sensitive; biases stay exact.
    expect(stored.sort()).toEqual(["float16", storedAs, "float32", "float32"].sort());
    const [depthwise, pointwise, bias] = network.weights.values();
    for (const [name, tensor] of [
      ["weight 0", inHalf(depthwise!)],
      ["weight 1", rounded(pointwise!)],
      ["weight 2", bias!],
    ] as const) {
      network.weights.set(name, tensor);
    }
    const session = await createProgramSession(bytes);
    await expectInterpreted(network, session, floatTensor([1, 5, 5, 20], numbers(500, 6)));
    await session.dispose();
  });
});
