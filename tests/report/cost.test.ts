import { describe, expect, it, test } from "vitest";
import { compareConvolutions, networkCost } from "../../src/graph/cost.ts";
import { countParameters, networkWeights } from "../../src/graph/network.ts";
import { inceptionV3 } from "../../src/models/inception/v3.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { costSection, describeCost, networkSizes } from "../../src/report/cost.ts";
import type { Chart } from "../../src/report/document.ts";
import { sizeOf } from "../../src/tensor/shape.ts";
import { smallNetwork } from "./small-network.ts";

describe("compareConvolutions", () => {
  it("gives the article's example: 1,728 weights against 27 + 192 = 219", () => {
    const positions = 10 * 20;
    const convolution = { kernelSize: [3, 3], inputChannels: 3, filters: 64, outputSize: [10, 20] } as const;
    expect(compareConvolutions(convolution)).toEqual({
      ordinary: { weights: 1728, multiplications: 1728 * positions },
      depthwise: { weights: 27, multiplications: 27 * positions },
      pointwise: { weights: 192, multiplications: 192 * positions },
      separable: { weights: 219, multiplications: 219 * positions },
    });
  });

  it("counts a window that is not square", () => {
    const { ordinary, separable } = compareConvolutions({
      kernelSize: [1, 7],
      inputChannels: 10,
      filters: 4,
      outputSize: [1, 1],
    });
    expect(ordinary.weights).toBe(280);
    expect(separable.weights).toBe(70 + 40);
  });
});

describe("networkCost", () => {
  it("counts each layer at the size of its own feature maps", () => {
    const cost = networkCost(smallNetwork());
    expect(cost.layers).toEqual([
      {
        name: "stem",
        type: "Conv2D",
        kernelSize: [3, 3],
        inputChannels: 3,
        outputShape: [9, 12, 8],
        weights: 216,
        multiplications: 216 * 9 * 12,
      },
      {
        name: "block1_sepconv1",
        type: "SeparableConv2D",
        kernelSize: [3, 3],
        inputChannels: 8,
        outputShape: [9, 12, 16],
        weights: 72 + 128,
        multiplications: (72 + 128) * 9 * 12,
        comparison: {
          depthwise: { weights: 72, multiplications: 72 * 9 * 12 },
          pointwise: { weights: 128, multiplications: 128 * 9 * 12 },
          separable: { weights: 200, multiplications: 200 * 9 * 12 },
          ordinary: { weights: 1152, multiplications: 1152 * 9 * 12 },
        },
      },
      {
        name: "conv2d",
        type: "Conv2D",
        kernelSize: [1, 1],
        inputChannels: 8,
        outputShape: [5, 6, 16],
        // Its 16 biases are not multiplied by anything.
        weights: 128,
        multiplications: 128 * 5 * 6,
      },
      { name: "predictions", type: "Dense", inputChannels: 16, outputShape: [5], weights: 80, multiplications: 80 },
    ]);
    expect(cost.total).toEqual({
      weights: 216 + 200 + 128 + 80,
      multiplications: 216 * 108 + 200 * 108 + 128 * 30 + 80,
    });
    expect(cost.ordinaryTotal).toEqual({
      weights: 216 + 1152 + 128 + 80,
      multiplications: 216 * 108 + 1152 * 108 + 128 * 30 + 80,
    });
  });

  it("finds 8.36 billion multiplications in the published network at 299", () => {
    const { total } = networkCost(xception());
    expect((total.multiplications / 1e9).toFixed(2)).toBe("8.36");
    // All parameters but those of batch normalization (54,528 trained, as many not) and the classifier's 1000 biases.
    expect(total.weights).toBe(22_910_480 - 2 * 54_528 - 1000);
  });

  it("counts the same weights in both variants", () => {
    expect(networkCost(xception({ variant: "tutorial" })).total.weights).toBe(networkCost(xception()).total.weights);
  });
});

describe("describeCost", () => {
  it("puts each separable convolution beside the ordinary one", () => {
    expect(describeCost(networkCost(smallNetwork()))).toMatchInlineSnapshot(`
      "Cost of "small" for one image
      An ordinary convolution filters space and channels at once; a separable one filters each channel by
        itself, then mixes the channels. From 3 to 64 channels with a 3×3 kernel that is 1,728 weights
        against 27 + 192 = 219.
       Weights in kernels: 624
       Multiply-accumulates (MACs): 48,848 (48.8 k)
       Floating-point operations (FLOPs): 97,696 (97.7 k)
       Weights in kernels with ordinary convolutions: 1,576
       Multiply-accumulates (MACs) with ordinary convolutions: 151,664 (152 k)
       Floating-point operations (FLOPs) with ordinary convolutions: 303,328 (303 k)
      Layers of small with kernels; others are not counted
      ┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━┓
      ┃ Layer           ┃ Kernel   ┃ Feature ┃ Weights ┃   MACs ┃ Ordinary ┃ Ordinary ┃ Ratio ┃
      ┃                 ┃          ┃ map     ┃         ┃        ┃  weights ┃     MACs ┃       ┃
      ┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━┩
      │ stem            │ 3×3×3→8  │ 9×12    │     216 │ 23.3 k │        – │        – │     – │
      │ block1_sepconv1 │ 3×3×8→16 │ 9×12    │     200 │ 21.6 k │    1,152 │    124 k │  5.8× │
      │ conv2d          │ 1×1×8→16 │ 5×6     │     128 │ 3.84 k │        – │        – │     – │
      │ predictions     │ 16→5     │ –       │      80 │     80 │        – │        – │     – │
      │ Total           │          │         │     624 │ 48.8 k │    1,576 │    152 k │  3.1× │
      └─────────────────┴──────────┴─────────┴─────────┴────────┴──────────┴──────────┴───────┘"
    `);
  });

  it.each(["paper", "tutorial"] as const)("fits the full %s network into 100 columns", (variant) => {
    const lines = describeCost(networkCost(xception({ variant }))).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  });
});

describe("networkSizes", () => {
  // timm's results/benchmark-infer: parameters, GMACs and activations in millions, as fvcore counts them.
  it.each([
    ["legacy_xception", xception(), 22.86, 8.4, 35.83],
    ["inception_v3", inceptionV3(), 23.83, 5.73, 8.97],
  ] as const)("agrees with timm's published counts of %s within 1 %%", (_, network, parameters, gmacs, activations) => {
    const sizes = networkSizes(network);
    const { trainable } = countParameters(networkWeights(network));
    expect(Math.abs(trainable / 1e6 / parameters - 1)).toBeLessThan(0.01);
    expect(Math.abs(sizes.multiplications / 1e9 / gmacs - 1)).toBeLessThan(0.01);
    expect(Math.abs(sizes.activations / 1e6 / activations - 1)).toBeLessThan(0.01);
  });

  it("counts both steps of a separable convolution", () => {
    const { activations } = networkSizes(smallNetwork());
    // stem 9·12·8, depthwise 9·12·8, pointwise 9·12·16, then the layers after them.
    const others = networkCost(smallNetwork()).layers.slice(2);
    const rest = others.reduce((sum, { outputShape }) => sum + sizeOf(outputShape), 0);
    expect(activations).toBe(9 * 12 * (8 + 8 + 16) + rest);
  });
});

test("the report draws separable convolutions beside the ordinary ones", async () => {
  const chart = costSection(networkCost(smallNetwork())).blocks.find((block) => block?.type === "chart");
  expect(await (chart as Chart).draw()).toContain("block1_sepconv1");
});
