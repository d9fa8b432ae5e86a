import { describe, expect, it } from "vitest";
import { initializeWeights } from "../../src/graph/initialize.ts";
import { networkWeights } from "../../src/graph/network.ts";
import { toEngineLayout } from "../../src/graph/weights.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { sizeOf } from "../../src/tensor/shape.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import type { Checkpoint } from "../../src/train/checkpoint.ts";
import type { TrainingRequest } from "../../src/train/request.ts";
import { frozenBackbone } from "../../src/train/step/frozen-backbone.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, smallNetwork } from "./train-fixtures.ts";

const training = coloredImages(22, 1);

/** Trains the last layers; counts the images that the frozen ones are shown. */
async function trained(request: Partial<TrainingRequest> = {}) {
  const shown: number[] = [];
  let images = 0;
  const result = await train(training, {
    network: smallNetwork({ pooled: true }),
    platform: {
      ...nodePlatform,
      engine: {
        ...nodePlatform.engine,
        createSession: async (...given) => {
          const session = await nodePlatform.engine.createSession(...given);
          const { run } = session;
          return Object.assign(session, {
            run: async (feeds: Parameters<typeof run>[0]) => {
              if (feeds.images?.type === "uint8") images += feeds.images.shape[0]!;
              return run.call(session, feeds);
            },
          });
        },
      },
    },
    epochs: 4,
    batchSize: 4,
    optimizer: createOptimizer("sgd"),
    learningRate: 0.05,
    trainable: ({ name }) => name.startsWith("sepconv") || name.startsWith("predictions"),
    onEpoch: () => {
      shown.push(images);
      images = 0;
    },
    ...request,
  });
  return { result, losses: result.history.map(({ loss }) => loss), shown };
}

describe("cached views", () => {
  it("train as without a cache while each view is new", async () => {
    const [whole, cached] = await Promise.all([trained(), trained({ cachedViews: 4 })]);
    for (const [epoch, loss] of cached.losses.entries()) expect(loss).toBeCloseTo(whole.losses[epoch]!, 5);
    const weights = [...cached.result.weights];
    expect(weights.map(([name]) => name)).toEqual([...whole.result.weights.keys()]);
    for (const [name, { data }] of weights) {
      const expected = whole.result.weights.get(name)!.data;
      for (const [index, value] of data.entries()) expect(value, name).toBeCloseTo(expected[index]!, 5);
    }
  });

  it("run the frozen layers for each view of an image once", async () => {
    const { shown } = await trained({ cachedViews: 1, epochs: 6 });
    // Five batches of 4 are an epoch, which leaves out two other images each time.
    expect(shown[0]).toBe(20);
    expect(shown.reduce((sum, count) => sum + count)).toBe(22);
    const two = await trained({ cachedViews: 2, epochs: 2 });
    expect(two.shown).toEqual([20, 20]);
  });

  it("train as without a cache with micro-batches, too", async () => {
    const [whole, cached] = await Promise.all([
      trained({ accumulate: 2 }),
      trained({ accumulate: 2, cachedViews: 4, average: "ema", averageDecay: 0.9, healthSteps: 1 }),
    ]);
    for (const [epoch, loss] of cached.losses.entries()) expect(loss).toBeCloseTo(whole.losses[epoch]!, 5);
  });

  it("continue to the last bit when resumed", async () => {
    const checkpoints: Checkpoint[] = [];
    const save = async (checkpoint: Checkpoint) => void checkpoints.push(checkpoint);
    const { result } = await trained({ cachedViews: 2, checkpoints: { save, everySteps: 1 } });
    const middle = checkpoints.find(({ epoch }) => epoch.index === 2 && epoch.tally.steps === 3)!;
    const resumed = await trained({ cachedViews: 2, resume: middle });
    expect(resumed.losses).toEqual(result.history.map(({ loss }) => loss));
    for (const [name, { data }] of resumed.result.weights) expect(data).toEqual(result.weights.get(name)!.data);
    await expect(trained({ cachedViews: 3, resume: middle })).rejects.toThrow("it differs in views");
  });

  it("are refused where they bring nothing", async () => {
    await expect(trained({ cachedViews: 2, trainable: () => true })).rejects.toThrow(
      "train option cachedViews: no layers are frozen before those that train; received 2. Freeze the first layers",
    );
    await expect(trained({ cachedViews: 2, mixup: 0.2 })).rejects.toThrow(
      "train option cachedViews: mixed images are not repeated; received 2. Leave out mixup and CutMix.",
    );
  });

  it("are kept as far as they fit into memory, and computed again beyond", async () => {
    const network = smallNetwork();
    const end = network.layers.findIndex(({ name }) => name.startsWith("sepconv")) - 1;
    const weights = initializeWeights(network);
    const tensors = new Map(
      networkWeights(network).map((spec) => [spec.name, toEngineLayout(spec, weights.get(spec.name)!)]),
    );
    const oneMap = sizeOf(network.layers[end]!.outputShape) * Float32Array.BYTES_PER_ELEMENT;
    const options = { platform: nodePlatform, mostBytes: oneMap };
    const backbone = frozenBackbone(network, end, tensors, options);
    const images = floatTensor([2, ...network.layers[0]!.outputShape]);
    for (const index of images.data.keys()) images.data[index] = Math.sin(index);
    const swapped = { ...images, data: Float32Array.from([...half(images, 1), ...half(images, 0)]) };
    const both = await backbone.run(images, ["a", "b"]);
    expect(half(both, 0)).not.toEqual(half(both, 1));
    // The view "a" comes from memory, whatever its image; "b" is computed from it.
    const again = await backbone.run(swapped, ["a", "b"]);
    expect(half(again, 0)).toEqual(half(both, 0));
    expect(half(again, 1)).toEqual(half(both, 0));
    await backbone.dispose();
  });
});

function half({ data }: { readonly data: Float32Array }, which: 0 | 1): Float32Array {
  return data.slice((which * data.length) / 2, ((which + 1) * data.length) / 2);
}
