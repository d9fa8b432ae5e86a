import { describe, expect, it } from "vitest";
import type { Platform } from "../../src/base/platform.ts";
import { dense, globalAveragePooling2d, input } from "../../src/graph/builder.ts";
import { type Layer, network } from "../../src/graph/network.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { frozenEnd } from "../../src/train/step/frozen-backbone.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, smallNetwork } from "./train-fixtures.ts";

describe("the frozen end of a network", () => {
  const network = xception({ inputShape: [71, 71, 3], width: 0.01 });
  const nameAt = (changes: (layer: Layer) => boolean) => {
    const end = frozenEnd(network, changes);
    return end === undefined ? undefined : network.layers[end]!.name;
  };

  it("is where no shortcut leads around it", () => {
    expect(nameAt(({ name }) => name.startsWith("block13"))).toBe("add_10");
    // The shortcut of block 13 is a convolution that reads the sum as well.
    expect(nameAt(({ name }) => name === "block13_sepconv2")).toBe("add_10");
    expect(nameAt(({ name }) => name === "conv2d_3")).toBe("add_10");
    expect(nameAt(({ name }) => name.startsWith("block14"))).toBe("add_11");
    expect(nameAt(({ name }) => name === "block14_sepconv2")).toBe("block14_sepconv1_act");
    expect(nameAt(({ name }) => name === "predictions")).toBe("avg_pool");
    expect(nameAt(({ name }) => name === "block2_sepconv1")).toBe("block1_conv2_act");
  });

  it("is nowhere if the first layer changes, or none", () => {
    expect(nameAt(({ name }) => name === "block1_conv1")).toBeUndefined();
    expect(nameAt(() => true)).toBeUndefined();
    expect(nameAt(() => false)).toBeUndefined();
  });
});

describe("tests between epochs", () => {
  const training = coloredImages(24, 1);
  const validation = coloredImages(10, 2);

  /** With the number of bytes that each test showed to the engine. */
  async function trained(freezes: boolean) {
    const shown: number[] = [];
    let bytes = 0;
    const platform: Platform = {
      ...nodePlatform,
      engine: {
        ...nodePlatform.engine,
        createSession: async (...given) => {
          const session = await nodePlatform.engine.createSession(...given);
          return Object.assign(session, {
            run: ((run) => async (feeds: Parameters<typeof run>[0]) => {
              const { images } = feeds;
              // Steps are fed with targets, too.
              if (images?.type === "uint8" && !("targets" in feeds)) bytes += images.data.length;
              return run.call(session, feeds);
            })(session.run),
          });
        },
      },
    };
    const result = await train(training, {
      network: smallNetwork({ pooled: true }),
      platform,
      validation,
      epochs: 3,
      batchSize: 4,
      optimizer: createOptimizer("sgd"),
      learningRate: 0.05,
      ...(freezes && {
        trainable: ({ name }) => name.startsWith("sepconv") || name.startsWith("predictions"),
      }),
      onEpoch: () => {
        shown.push(bytes);
        bytes = 0;
      },
    });
    return { result, shown };
  }

  it("show images to what is frozen once, and answer as the whole network does", async () => {
    const { result, shown } = await trained(true);
    const all = 10 * 12 * 12 * 3;
    expect(shown).toEqual([all, 0, 0]);
    const whole = await evaluate(result, validation, { platform: nodePlatform, batchSize: 4 });
    expect(result.evaluation!.loss).toBeCloseTo(whole.evaluation.loss, 5);
    expect(result.predictions!.map(({ predicted }) => predicted)).toEqual(
      whole.predictions.map(({ predicted }) => predicted),
    );
    for (const [index, { probability }] of result.predictions!.entries()) {
      expect(probability).toBeCloseTo(whole.predictions[index]!.probability, 5);
    }
    const losses = result.history.map(({ validationLoss }) => validationLoss);
    expect(new Set(losses).size).toBe(3);
  });

  it("show all images to all of it where everything trains", async () => {
    const { shown } = await trained(false);
    expect(shown).toEqual(Array.from({ length: 3 }, () => 10 * 12 * 12 * 3));
  });
});

it("validates a network of images one pixel wide in batches", async () => {
  const samples = ["red", "green", "blue"].flatMap((color, label) =>
    [0, 1].map((index) => {
      const data = Uint8Array.from([0, 1, 2], (channel) => (channel === label ? 200 + index : 10));
      return { image: { width: 1, height: 1, data }, label, name: `${color}/${index}` };
    }),
  );
  const dataset = { classes: ["red", "green", "blue"], samples };
  const x = dense(globalAveragePooling2d(input([1, 1, 3])), { units: 3, activation: "softmax" });
  const weights = new Map([
    ["dense/kernel", floatTensor([3, 3], Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1))],
    ["dense/bias", floatTensor([3], new Float32Array(3))],
  ]);
  const { evaluation } = await train(dataset, {
    platform: nodePlatform,
    ...{ network: network("pixels", x), weights, validation: dataset, epochs: 1, batchSize: 2, learningRate: 1e-6 },
  });
  expect(evaluation).toMatchObject({ images: 6, top1: 1 });
});
