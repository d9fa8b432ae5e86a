import { describe, expect, it } from "vitest";
import { foldBatchNorm, foldStructure, withNormalizations } from "../../src/compiler/fold-batch-norm.ts";
import { lower } from "../../src/compiler/lower.ts";
import { padChannels } from "../../src/compiler/quantize/pad-channels.ts";
import {
  add,
  concatenate,
  conv2d,
  dense,
  depthwiseConv2d,
  globalAveragePooling2d,
  input,
  maxPooling2d,
  relu,
  separableConv2d,
} from "../../src/graph/builder.ts";
import { type Network, network } from "../../src/graph/network.ts";
import type { OpGraph } from "../../src/graph/ops.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import { xception } from "../../src/index.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import { interpret } from "../oracles/interpreter.ts";

const lowered = (net: Network) => lower(net, { mode: "inference", batchSize: 1 }).graph;
const folded = (net: Network) => foldBatchNorm(lowered(net), toEngineWeights(net, syntheticWeights(net)));
const channelsIn = ({ operations }: OpGraph) =>
  Object.fromEntries(operations.map(({ outputs: [y] }) => [y!.name, y!.shape[1]]));

describe("channels of zeros", () => {
  const start = relu(conv2d(input([6, 6, 3]), { name: "conv", filters: 30, kernelSize: 3, padding: "same" }));
  const sum = add([separableConv2d(start, { name: "first", filters: 30, kernelSize: 3, padding: "same" }), start]);
  const pooled = maxPooling2d(sum, { kernelSize: 2 });
  const last = separableConv2d(pooled, { name: "last", filters: 20, kernelSize: 3, padding: "same" });
  const net = network("padded", dense(globalAveragePooling2d(last), { name: "dense", units: 4 }));
  const plain = folded(net);
  const padded = padChannels(plain);

  it("fill up the maps that depthwise convolutions read, and the kernels around them", () => {
    const shapes = Object.fromEntries(padded.graph.parameters.map(({ name, shape }) => [name, shape]));
    expect(shapes).toMatchObject({
      "conv/kernel": [32, 3, 3, 3],
      "conv/bias": [32],
      "first/depthwise_kernel": [32, 1, 3, 3],
      "first/pointwise_kernel": [32, 32, 1, 1],
      "last/depthwise_kernel": [32, 1, 3, 3],
      "last/pointwise_kernel": [20, 32, 1, 1],
      "dense/kernel": [20, 4],
    });
    const { data } = padded.weights.get("last/pointwise_kernel")!;
    expect(data.slice(30, 34)).toEqual(
      Float32Array.of(0, 0, ...plain.weights.get("last/pointwise_kernel")!.data.slice(30, 32)),
    );
  });

  it("change no result", () => {
    const random = mulberry32(7);
    const pixels = Float64Array.from({ length: 6 * 6 * 3 }, () => random() - 0.5);
    const resultsOf = ({ graph, weights }: typeof plain) => {
      const feeds = new Map([...weights].map(([name, { data }]) => [name, Float64Array.from(data)]));
      return interpret(graph, feeds.set("images", pixels)).get("dense");
    };
    const results = resultsOf(plain);
    expect(results).toHaveLength(4);
    expect(resultsOf(padded)).toEqual(results);
  });

  it("are removed from stored weights; others stay the same", () => {
    const stored = new Map([...padded.weights].map(([name, each]) => [name, { shape: each.shape, read: () => each }]));
    const cut = withNormalizations(lowered(net), stored);
    for (const [name, tensor] of plain.weights) expect(cut.get(name)!.read(), name).toEqual(tensor);
    const own = new Map([...plain.weights].map(([name, each]) => [name, { shape: each.shape, read: () => each }]));
    expect(withNormalizations(lowered(net), own)).toEqual(own);
  });
});

describe("no channels are added", () => {
  const maps = (filters: number) => conv2d(input([6, 6, 3]), { name: "conv", filters, kernelSize: 1 });
  const depthwise = (filters: number) => depthwiseConv2d(maps(filters), { kernelSize: 3 });
  const end = { name: "end", filters: 2, kernelSize: 1 } as const;
  const twice = depthwise(30);
  it.each([
    ["if they were more than an eighth of a map", globalAveragePooling2d(depthwise(20))],
    ["to a map that the graph returns", depthwise(30)],
    ["to a map that is concatenated", conv2d(concatenate([twice, relu(twice)]), end)],
    ["to a map that a grouped convolution reads", conv2d(depthwise(30), { ...end, filters: 30, groups: 3 })],
    ["where no convolution is depthwise", globalAveragePooling2d(conv2d(maps(30), end))],
  ])("%s", (_, output) => {
    const plain = folded(network("small", output));
    const { graph, weights } = padChannels(plain);
    expect(channelsIn(graph)).toEqual(channelsIn(plain.graph));
    expect(weights).toEqual(plain.weights);
  });
});

it("Xception's maps of 728 channels get 736, and no others change", () => {
  const { graph } = foldStructure(lowered(xception()));
  const before = channelsIn(graph);
  const after = channelsIn(padChannels({ graph, weights: new Map() }).graph);
  expect(after).toEqual(Object.fromEntries(Object.entries(before).map(([name, c]) => [name, c === 728 ? 736 : c])));
  expect(Object.values(before).filter((channels) => channels === 728).length).toBeGreaterThan(80);
});
