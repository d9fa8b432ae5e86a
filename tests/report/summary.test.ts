import { describe, expect, it } from "vitest";
import { xception } from "../../src/models/xception/paper.ts";
import { summarize, summaryJson } from "../../src/report/summary.ts";
import { smallNetwork } from "./small-network.ts";

describe("summarize", () => {
  it("draws Keras's columns and totals", () => {
    expect(summarize(smallNetwork())).toMatchInlineSnapshot(`
      "Model: "small"
      ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━┓
      ┃ Layer (type)                            ┃ Output Shape      ┃ Param # ┃ Connected to             ┃
      ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━┩
      │ input_layer (InputLayer)                │ (None, 9, 12, 3)  │       0 │ -                        │
      │ stem (Conv2D)                           │ (None, 9, 12, 8)  │     216 │ input_layer              │
      │ block1_sepconv1 (SeparableConv2D)       │ (None, 9, 12, 16) │     200 │ stem                     │
      │ block1_sepconv1_bn (BatchNormalization) │ (None, 9, 12, 16) │      64 │ block1_sepconv1          │
      │ block1_pool (MaxPooling2D)              │ (None, 5, 6, 16)  │       0 │ block1_sepconv1_bn       │
      │ conv2d (Conv2D)                         │ (None, 5, 6, 16)  │     144 │ stem                     │
      │ add (Add)                               │ (None, 5, 6, 16)  │       0 │ block1_pool, conv2d      │
      │ re_lu (ReLU)                            │ (None, 5, 6, 16)  │       0 │ add                      │
      │ global_average_pooling2d                │ (None, 16)        │       0 │ re_lu                    │
      │   (GlobalAveragePooling2D)              │                   │         │                          │
      │ predictions (Dense)                     │ (None, 5)         │      85 │ global_average_pooling2d │
      └─────────────────────────────────────────┴───────────────────┴─────────┴──────────────────────────┘
       Total params: 709 (2.77 KB)
       Trainable params: 677 (2.64 KB)
       Non-trainable params: 32 (128.00 B)"
    `);
  });

  it("wraps long cells rather than being wider than asked for", () => {
    const text = summarize(smallNetwork(), { width: 72 });
    expect(text).toMatchInlineSnapshot(`
      "Model: "small"
      ┏━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
      ┃ Layer (type)         ┃ Output Shape      ┃ Param # ┃ Connected to    ┃
      ┡━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
      │ input_layer          │ (None, 9, 12, 3)  │       0 │ -               │
      │   (InputLayer)       │                   │         │                 │
      │ stem (Conv2D)        │ (None, 9, 12, 8)  │     216 │ input_layer     │
      │ block1_sepconv1      │ (None, 9, 12, 16) │     200 │ stem            │
      │   (SeparableConv2D)  │                   │         │                 │
      │ block1_sepconv1_bn   │ (None, 9, 12, 16) │      64 │ block1_sepconv1 │
      │ (BatchNormalization) │                   │         │                 │
      │ block1_pool          │ (None, 5, 6, 16)  │       0 │ block1_sepconv1 │
      │   (MaxPooling2D)     │                   │         │ _bn             │
      │ conv2d (Conv2D)      │ (None, 5, 6, 16)  │     144 │ stem            │
      │ add (Add)            │ (None, 5, 6, 16)  │       0 │ block1_pool,    │
      │                      │                   │         │   conv2d        │
      │ re_lu (ReLU)         │ (None, 5, 6, 16)  │       0 │ add             │
      │ global_average_pooli │ (None, 16)        │       0 │ re_lu           │
      │ ng2d                 │                   │         │                 │
      │ (GlobalAveragePoolin │                   │         │                 │
      │ g2D)                 │                   │         │                 │
      │ predictions (Dense)  │ (None, 5)         │      85 │ global_average_ │
      │                      │                   │         │ pooling2d       │
      └──────────────────────┴───────────────────┴─────────┴─────────────────┘
       Total params: 709 (2.77 KB)
       Trainable params: 677 (2.64 KB)
       Non-trainable params: 32 (128.00 B)"
    `);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(72);
  });

  it.each(["paper", "tutorial"] as const)("fits the full %s network into 100 columns", (variant) => {
    const lines = summarize(xception({ variant })).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(lines.slice(-3)).toEqual([
      " Total params: 22,910,480 (87.40 MB)",
      " Trainable params: 22,855,952 (87.19 MB)",
      " Non-trainable params: 54,528 (213.00 KB)",
    ]);
  });

  it("writes the size of nothing as Keras does", () => {
    const untrained = { name: "empty", layers: [], output: "", seed: 0 };
    expect(summarize(untrained).split("\n").at(-1)).toBe(" Non-trainable params: 0 (0.00 B)");
  });
});

describe("summaryJson", () => {
  it("lists the layers with their parameters worked out by hand", () => {
    expect(summaryJson(smallNetwork())).toEqual({
      name: "small",
      layers: [
        { name: "input_layer", type: "InputLayer", outputShape: [9, 12, 3], params: 0, inbound: [] },
        { name: "stem", type: "Conv2D", outputShape: [9, 12, 8], params: 3 * 3 * 3 * 8, inbound: ["input_layer"] },
        {
          name: "block1_sepconv1",
          type: "SeparableConv2D",
          outputShape: [9, 12, 16],
          params: 3 * 3 * 8 + 8 * 16,
          inbound: ["stem"],
        },
        {
          name: "block1_sepconv1_bn",
          type: "BatchNormalization",
          outputShape: [9, 12, 16],
          params: 4 * 16,
          inbound: ["block1_sepconv1"],
        },
        {
          name: "block1_pool",
          type: "MaxPooling2D",
          outputShape: [5, 6, 16],
          params: 0,
          inbound: ["block1_sepconv1_bn"],
        },
        { name: "conv2d", type: "Conv2D", outputShape: [5, 6, 16], params: 8 * 16 + 16, inbound: ["stem"] },
        { name: "add", type: "Add", outputShape: [5, 6, 16], params: 0, inbound: ["block1_pool", "conv2d"] },
        { name: "re_lu", type: "ReLU", outputShape: [5, 6, 16], params: 0, inbound: ["add"] },
        {
          name: "global_average_pooling2d",
          type: "GlobalAveragePooling2D",
          outputShape: [16],
          params: 0,
          inbound: ["re_lu"],
        },
        {
          name: "predictions",
          type: "Dense",
          outputShape: [5],
          params: 16 * 5 + 5,
          inbound: ["global_average_pooling2d"],
        },
      ],
      params: { total: 216 + 200 + 64 + 144 + 85, trainable: 216 + 200 + 32 + 144 + 85, nonTrainable: 32 },
    });
  });
});
