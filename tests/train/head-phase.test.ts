import { describe, expect, it } from "vitest";
import { FileError } from "../../src/base/errors.ts";
import type { EpochRecord } from "../../src/base/records.ts";
import { noAugmentation } from "../../src/data/augmentation.ts";
import { oneHot } from "../../src/data/labels.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { partAfter } from "../../src/models/layer-list.ts";
import { topIndex } from "../../src/models/parts.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { FloatTensor } from "../../src/tensor/tensor.ts";
import type { Checkpoint } from "../../src/train/checkpoint.ts";
import { decodeBest, decodeCheckpoint, encodeBest, encodeCheckpoint } from "../../src/train/checkpoint-file.ts";
import { decodeFeatures, encodeFeatures, frozenFeatures } from "../../src/train/frozen-features.ts";
import { trainHead } from "../../src/train/head-phase.ts";
import { type HeadPhase, prepareTraining } from "../../src/train/prepare.ts";
import type { FeatureCache, HeadHooks, TrainingRequest, TrainingResult } from "../../src/train/request.ts";
import { TrainingStep } from "../../src/train/step/training-step.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, imageSize, labels, smallNetwork } from "./train-fixtures.ts";

const dataset = coloredImages(12, 1);
const network = smallNetwork({ dropout: 0.3 });
const weights = syntheticWeights(network);
const isTop = (name: string) => name.startsWith("predictions");
const common = { platform: nodePlatform, network, weights, epochs: 2, batchSize: 6, seed: 3 } satisfies TrainingRequest;
const plan = await prepareTraining(dataset, common);

/** A cache in memory. */
function memory() {
  const files = new Map<string, Uint8Array>();
  const cache: FeatureCache = {
    read: async (name) => files.get(name),
    write: async (name, bytes) => void files.set(name, bytes),
  };
  return { files, cache };
}

/** What the phase says of its cache, and the weights it comes to. */
async function trained(
  { epochs = 3, views = 2, learningRate = 0.001, ...hooks }: Partial<HeadPhase> & HeadHooks,
  of = plan,
) {
  const notes: string[] = [];
  const phase = { epochs, views, learningRate };
  const weights = await trainHead(of, phase, { onNote: (note) => notes.push(note), ...hooks });
  return { notes, weights };
}

describe("the classifier on features of the frozen network", () => {
  it("has the logits, the loss and the gradients of the whole network", async () => {
    const plain = smallNetwork();
    const ofPlain = await prepareTraining(dataset, { ...common, network: plain });
    const features = (await frozenFeatures(ofPlain, "global_average_pooling2d", 1))!;
    expect([...features.samples]).toEqual(dataset.samples.map((_, index) => index));
    const targets = oneHot(
      dataset.samples.map(({ label }) => label),
      labels.length,
      0.1,
    );
    const step = { batchSize: 12, optimizer: createOptimizer("sgd"), loss: softmaxCrossEntropy, gradientOutputs: true };
    const options = { ...step, platform: nodePlatform };
    const { preprocessing } = ofPlain;
    const whole = await TrainingStep.create(plain, weights, {
      ...options,
      preprocessing,
      trainable: ({ name }) => isTop(name),
      batchNorm: () => "inference",
    });
    const head = await TrainingStep.create(partAfter(plain, topIndex(plain)!), weights, options);
    const data = Uint8Array.from(dataset.samples.flatMap(({ image }) => [...(image as { data: Uint8Array }).data]));
    const images = { type: "uint8", shape: [12, imageSize, imageSize, 3], data } as const;
    const expected = await whole.run({ images, targets, learningRate: 0.1 });
    const actual = await head.run({ images: features.values, targets, learningRate: 0.1 });
    expect(actual.loss).toBeCloseTo(expected.loss, 5);
    for (const [index, value] of expected.logits.data.entries())
      expect(actual.logits.data[index]).toBeCloseTo(value, 5);
    expect([...actual.gradients.keys()]).toEqual(["predictions/kernel", "predictions/bias"]);
    for (const [name, { data: gradient }] of expected.gradients) {
      for (const [index, value] of gradient.entries()) {
        expect(actual.gradients.get(name)!.data[index]).toBeCloseTo(value, 5);
      }
    }
    await Promise.all([whole.dispose(), head.dispose()]);
  });

  it("learns, and leaves all else bit for bit as it was", async () => {
    const results: number[] = [];
    const onEnd: HeadHooks["onEnd"] = ({ loss, views }) => void results.push(loss, views);
    const short = await trained({ epochs: 1, learningRate: 0.05, onEnd });
    await trained({ epochs: 30, learningRate: 0.05, onEnd });
    expect(results[1]).toBe(24);
    expect(results[2]).toBeLessThan(results[0]! / 1.2);
    expect([...short.weights.keys()]).toEqual([...weights.keys()]);
    for (const [name, tensor] of short.weights) {
      if (isTop(name)) expect(tensor).not.toEqual(weights.get(name));
      else expect(tensor).toEqual(weights.get(name));
    }
  });

  it("sees each view as another change, and the first as it is", async () => {
    const layer = "global_average_pooling2d";
    const one = (await frozenFeatures(plan, layer, 1))!;
    const three = (await frozenFeatures(plan, layer, 3))!;
    const view = (index: number) => three.values.data.subarray(12 * 16 * index, 12 * 16 * (index + 1));
    expect(view(0)).toEqual(one.values.data);
    expect(view(1)).not.toEqual(view(0));
    expect(view(2)).not.toEqual(view(1));
    const still = await prepareTraining(dataset, { ...common, augment: noAugmentation });
    const same = (await frozenFeatures(still, layer, 2))!;
    expect(same.values.data.subarray(12 * 16)).toEqual(one.values.data);
  });
});

describe("the cache of features", () => {
  it("saves the work, and gives the same weights bit for bit", async () => {
    const { files, cache } = memory();
    const first = await trained({ cache });
    expect(first.notes).toEqual([]);
    expect(files.size).toBe(1);
    const seen: number[] = [];
    const second = await trained({ cache, onProgress: (done) => seen.push(done) });
    expect(second.notes).toEqual(["The features of 24 views were computed before."]);
    expect(seen).toEqual([]);
    expect(second.weights).toEqual(first.weights);
  });

  it("is not taken for other images, weights or changes", async () => {
    const { files, cache } = memory();
    await trained({ cache });
    const changed = (isChanged: (name: string) => boolean, change: (value: number) => number): Weights => {
      const entries = [...weights].map(([name, tensor]): [string, FloatTensor] => {
        return [name, isChanged(name) ? { ...tensor, data: tensor.data.map(change) } : tensor];
      });
      return new Map(entries);
    };
    const others: Partial<TrainingRequest>[] = [
      {
        weights: changed(
          (name) => name === "conv/kernel",
          (value) => value + 1e-3,
        ),
      },
      { augment: noAugmentation },
      { seed: 4 },
    ];
    for (const other of others) await trained({ cache }, await prepareTraining(dataset, { ...common, ...other }));
    await trained({ cache }, await prepareTraining(coloredImages(12, 2), common));
    await trained({ cache, views: 1 });
    expect(files.size).toBe(6);
    // Another classifier needs no other features.
    const classifier = changed(isTop, () => 0);
    const { notes } = await trained({ cache }, await prepareTraining(dataset, { ...common, weights: classifier }));
    expect(notes).toHaveLength(1);
  });

  it("is computed anew where it is damaged, cut short, stale, or of something else", async () => {
    const { files, cache } = memory();
    const expected = (await trained({ cache })).weights;
    const [name, good] = [...files][0]!;
    const start = `Cached features cannot be used: ${name}`;
    const flipped = good.slice();
    flipped[good.length - 70]! ^= 1;
    const { values, samples } = await decodeFeatures(good, name.slice(0, 64), name);
    const stale = await encodeFeatures({ values, samples }, "0".repeat(64));
    for (const [bytes, pattern] of [
      [flipped, ": the file is damaged: its checksum is wrong; received"],
      [stale, ": these are features of something else; received"],
      [good.subarray(0, 40), ", byte 0: invalid header length"],
      [
        await encodeBest({ weights, epoch: 1, steps: 1, test: {} as never }),
        ': this is another kind of file; received "xception-ts best weights"; expected "xception-ts features"',
      ],
    ] as const) {
      files.set(name, bytes);
      const { notes, weights: again } = await trained({ cache });
      expect(notes).toHaveLength(1);
      expect(notes[0]!.startsWith(`${start}${pattern}`), notes[0]).toBe(true);
      expect(notes[0]!.endsWith(" They are recomputed.")).toBe(true);
      expect(again).toEqual(expected);
      expect(files.get(name)).toEqual(good);
    }
  });

  it("may fail to be written, with a note", async () => {
    const write = () => Promise.reject(new FileError({ where: "cache", what: "the disk is full" }));
    const { notes } = await trained({ cache: { ...memory().cache, write } });
    expect(notes).toEqual(["The features could not be kept for the next time: cache: the disk is full."]);
  });
});

describe("a training in two phases", () => {
  const phase = { epochs: 2, views: 2, learningRate: 0.01 };
  const head = { headEpochs: 2, headViews: 2, headRate: 0.01 };
  const validation = coloredImages(6, 2);

  function trainSmall(options: Partial<TrainingRequest> = {}): Promise<TrainingResult> {
    return train(dataset, { ...common, validation, ...head, ...options });
  }

  it("begins the second where the first ended", async () => {
    const { weights: after } = await trained(phase);
    const still: Partial<TrainingRequest> = {
      optimizer: createOptimizer("sgd", { momentum: 0 }),
      learningRate: 1e-30,
      batchNorm: () => "inference",
    };
    const result = await trainSmall(still);
    // The plan's optimizer trains the classifier, too.
    const expected = await trainHead(await prepareTraining(dataset, { ...common, ...still }), phase);
    expect(result.weights).toEqual(expected);
    expect(after.get("predictions/kernel")).not.toEqual(weights.get("predictions/kernel"));
  });

  it("goes on bit for bit from before the first phase, and from within the second", async () => {
    const kept: Checkpoint[] = [];
    const save = async (checkpoint: Checkpoint) => void kept.push(checkpoint);
    const comparable = ({ history, ...result }: TrainingResult) => {
      const timeless = ({ imagesPerSecond, seconds, ...record }: EpochRecord) => record;
      return { ...result, history: history.map(timeless) };
    };
    const result = await trainSmall({ checkpoints: { save, everySteps: 1 } });
    expect(kept.map(({ phase, state }) => `${phase} ${state.steps}`)).toEqual(
      expect.arrayContaining(["head 0", "network 1", "network 2", "network 3", "network 4"]),
    );
    for (const checkpoint of kept) {
      const stored = await decodeCheckpoint(await encodeCheckpoint(checkpoint), "checkpoint");
      const best = checkpoint.best && (await decodeBest(await encodeBest(checkpoint.best), "best"));
      const resumed = await trainSmall({ resume: { ...stored.checkpoint, best } });
      expect(comparable(resumed)).toEqual(comparable(result));
    }
    const other = trainSmall({ headEpochs: 3, resume: kept[2]! });
    await expect(other).rejects.toThrow("differs in head;");
  });

  it("stops in the first phase, and refuses what it cannot do", async () => {
    const controller = new AbortController();
    const stopping = { onProgress: () => controller.abort() };
    await expect(trainSmall({ head: stopping, signal: controller.signal })).rejects.toThrow("stopped by the caller");
    const late = { onProgress: () => void setTimeout(() => controller.abort(), 1) };
    await expect(trainSmall({ headEpochs: 1000, head: late, signal: controller.signal })).rejects.toThrow(
      "stopped by the caller",
    );
    await expect(trainSmall({ headEpochs: -1 })).rejects.toThrow(
      "train option headEpochs: this value is not allowed; received -1; expected a whole number from 0.",
    );
    await expect(trainSmall({ headViews: 0.5 })).rejects.toThrow("train option headViews: ");
    await expect(trainSmall({ headRate: 0 })).rejects.toThrow("train option headRate: ");
    await expect(trainSmall({ headEpochs: 1, headRate: 1e300 })).rejects.toThrow(
      "training, head, epoch 1, step 1: a new weight is NaN or infinite",
    );
  });
});
