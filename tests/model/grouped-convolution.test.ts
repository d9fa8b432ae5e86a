import { describe, expect, test } from "vitest";
import { compile } from "../../src/compiler/compile.ts";
import { writeKerasArchive, writeLegacyModel } from "../../src/formats/keras/writer.ts";
import { conv2d, input } from "../../src/graph/builder.ts";
import { network, networkWeights } from "../../src/graph/network.ts";
import { openModel } from "../../src/model/open-weights.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { createSession } from "../../src/runtime/node/engine.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

// Four channels in two groups, four filters of 1×1: the first two see channels 0 and 1, the others 2 and 3.
const grouped = network("grouped", conv2d(input([1, 2, 4]), { filters: 4, kernelSize: 1, groups: 2, name: "conv" }));
const kernel = floatTensor([1, 1, 2, 4], Float32Array.of(1, 10, 2, 0, 3, 0, 0, 5));
const weights = new Map([
  ["conv/kernel", kernel],
  ["conv/bias", floatTensor([4], Float32Array.of(0, 0, 0, 100))],
]);
const image = [
  [1, 2, 3, 4],
  [5, 6, 7, 8],
];
// Channel 0: x0 + 3 x1. Channel 1: 10 x0. Channel 2: 2 x2. Channel 3: 5 x3 + 100.
const expected = [1 + 6, 10, 6, 120, 5 + 18, 50, 14, 140];

test("each group of channels has its own filters", async () => {
  expect(networkWeights(grouped).map(({ shape }) => shape)).toEqual([[1, 1, 2, 4], [4]]);
  for (const form of ["exact", "inference"] as const) {
    const session = await createSession(compile(grouped, weights, { form }));
    const [output] = Object.values(
      await session.run({ images: floatTensor([1, 1, 2, 4], Float32Array.from(image.flat())) }),
    );
    expect(Array.from(output!.data as Float32Array)).toEqual(expected);
    await session.dispose();
  }
});

test.each([
  ["Keras 3", writeKerasArchive],
  ["Keras 2", writeLegacyModel],
] as const)("%s files keep the groups", async (_, write) => {
  const { network: read, weights: back } = await openModel(
    await write({ network: grouped, weights }, new Date(0)),
    nodePlatform,
  );
  expect(read.layers.map(({ config }) => config)).toEqual(grouped.layers.map(({ config }) => config));
  expect(back.get("conv/kernel")!.data).toEqual(kernel.data);
});

test("channels that cannot be divided are an error", () => {
  expect(() => conv2d(input([4, 4, 3]), { filters: 4, kernelSize: 3, groups: 2, name: "conv" })).toThrow(
    'Conv2D "conv": the channels cannot be divided into these groups; received "2 groups of 3 input and 4 output channels"; expected both divisible by the number of groups.',
  );
});

describe("Xception between ordinary and separable convolutions", () => {
  const weightsOf = (segments: "all" | "1" | "8") =>
    networkWeights(xception({ segments })).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const channels = xception().layers.flatMap(({ config, weights }) =>
    config.type === "SeparableConv2D" ? [weights[0]!.shape[2]!] : [],
  );

  test.each(["8", "1"] as const)(
    "%s segments have 9 C² / segments weights in each spatial step instead of 9 C",
    (segments) => {
      const added = channels.reduce((sum, each) => sum + 9 * each * (each / Number(segments) - 1), 0);
      expect(weightsOf(segments)).toBe(weightsOf("all") + added);
    },
  );
});
