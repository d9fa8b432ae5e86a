import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import type { DecodeToSize } from "../../src/base/platform.ts";
import { augmentations, noAugmentation } from "../../src/data/augmentation.ts";
import { type Batch, type BatchOptions, BatchSource, type PassOptions } from "../../src/data/batches.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { oneHot } from "../../src/data/labels.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const decode = { width: 2, height: 1 };

/** Image number i has the file name `i` and six bytes of value i; its class is i mod 3. */
function numbered(count: number): ImageDataset {
  const samples = Array.from({ length: count }, (_, index) => ({
    image: `${index}`,
    label: index % 3,
    name: `${index}`,
  }));
  return { classes: ["a", "b", "c"], samples };
}

/** A decoder of numbered images that writes down what it is asked for and finds some of them damaged. */
function decoder({ damaged = [] as readonly number[] } = {}) {
  const asked: number[] = [];
  const decodeImage: DecodeToSize = async (source, { width, height }) => {
    const index = Number(source);
    asked.push(index);
    // Later ones finish earlier.
    for (let turns = 5 - (index % 5); turns > 0; turns--) await nextTurn();
    if (damaged.includes(index)) throw new FormatError({ where: `image "${index}"`, what: "the image is damaged" });
    return { width, height, data: new Uint8Array(width * height * 3).fill(index) };
  };
  return { asked, decodeImage };
}

function source(count: number, options: Partial<BatchOptions> = {}, damaged: readonly number[] = []) {
  const { asked, decodeImage } = decoder({ damaged });
  return { asked, batches: new BatchSource(numbered(count), decodeImage, { batchSize: 4, decode, ...options }) };
}

async function all(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const list: Batch[] = [];
  for await (const batch of batches) list.push(batch);
  return list;
}

const indicesOf = (batches: readonly Batch[]) => batches.map(({ indices }) => [...indices]);

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => expect.fail("it was accepted"),
    (error) => error,
  );
  return `${error.code} ${error.message}`;
}

describe("evaluation", () => {
  it("gives every sample once, in order, the last batch with what is left", async () => {
    const list = await all(source(6).batches.evaluationBatches());
    expect(list).toEqual([
      {
        images: {
          type: "uint8",
          shape: [4, 1, 2, 3],
          data: Uint8Array.from({ length: 24 }, (_, at) => Math.floor(at / 6)),
        },
        labels: Int32Array.of(0, 1, 2, 0),
        targets: floatTensor([4, 3], Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0)),
        indices: Uint32Array.of(0, 1, 2, 3),
        nextPosition: 4,
      },
      {
        images: { type: "uint8", shape: [2, 1, 2, 3], data: Uint8Array.of(4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5) },
        labels: Int32Array.of(1, 2),
        targets: floatTensor([2, 3], Float32Array.of(0, 1, 0, 0, 0, 1)),
        indices: Uint32Array.of(4, 5),
        nextPosition: 6,
      },
    ]);
  });

  it("is not augmented", async () => {
    const { batches } = source(4, { augmentation: { ...noAugmentation, brightness: 1 } });
    const [batch] = await all(batches.evaluationBatches());
    expect([...batch!.images.data]).toEqual(Array.from({ length: 24 }, (_, at) => Math.floor(at / 6)));
  });
});

describe("training", () => {
  it("shuffles, gives full batches only, and images with their labels", async () => {
    const { batches } = source(11);
    expect(batches.batchesPerEpoch).toBe(2);
    const list = await all(batches.trainingBatches(0));
    const indices = indicesOf(list).flat();
    expect(new Set(indices).size).toBe(8);
    expect(indices).not.toEqual(indices.toSorted((a, b) => a - b));
    for (const { images, labels, indices } of list) {
      expect([...labels]).toEqual([...indices].map((index) => index % 3));
      expect([...images.data]).toEqual([...indices].flatMap((index) => new Array(6).fill(index)));
    }
  });

  it("is the same for the same seed and epoch, and another for others", async () => {
    const epoch = async (seed: number, epoch: number) =>
      indicesOf(await all(source(20, { seed }).batches.trainingBatches(epoch)));
    expect(await epoch(1, 0)).toEqual(await epoch(1, 0));
    expect(await epoch(1, 0)).not.toEqual(await epoch(1, 1));
    expect(await epoch(1, 0)).not.toEqual(await epoch(2, 0));
  });

  it("goes on in the middle of an epoch exactly as it would have gone", async () => {
    for (const damaged of [[], [0, 3, 7, 8, 15]]) {
      const whole = await all(source(20, {}, damaged).batches.trainingBatches(3));
      const start = whole[0]!.nextPosition;
      expect(await all(source(20, {}, damaged).batches.trainingBatches(3, { start }))).toEqual(whole.slice(1));
    }
  });

  it("goes on in the middle of an epoch when it is mixed, balanced and weighted", async () => {
    const options: Partial<BatchOptions> = {
      seed: 4,
      augmentation: { ...augmentations.strong, randAugment: { operations: 2, magnitude: 9 } },
      mixing: { mixup: 0.4, cutMix: 1 },
      sampling: "balanced",
      classWeights: [1, 2, 0.5],
      labelSmoothing: 0.1,
    };
    for (const damaged of [[], [0, 3, 7, 8, 15]]) {
      const whole = await all(source(20, options, damaged).batches.trainingBatches(3));
      for (const [number, { nextPosition }] of whole.entries()) {
        const rest = await all(source(20, options, damaged).batches.trainingBatches(3, { start: nextPosition }));
        expect(rest).toEqual(whole.slice(number + 1));
      }
    }
  });

  it("mixes images, targets and weights of a batch alike", async () => {
    const options: Partial<BatchOptions> = { mixing: { mixup: 1 }, classWeights: [1, 2, 4] };
    const { batches } = source(24, options);
    expect(batches.isWeighted).toBe(true);
    for (const { images, labels, targets, sampleWeights, indices } of await all(batches.trainingBatches(0))) {
      for (let row = 0; row < 4; row++) {
        const [own, other] = [indices[row]!, indices[(row + 1) % 4]!];
        const [ownWeight, otherWeight] = [own % 3, other % 3].map((label) => 2 ** label) as [number, number];
        expect(labels[row]).toBe(own % 3);
        // What is in the image says what its share is: pixels are the sample's number throughout.
        const pixel = images.data[row * 6]!;
        const weight = sampleWeights!.data[row]!;
        const ownPart = targets.data[row * 3 + (own % 3)]! * weight;
        if (own % 3 === other % 3) expect(weight).toBeCloseTo(ownWeight, 5);
        else {
          const share = ownPart / ownWeight;
          expect(share).toBeGreaterThanOrEqual(0.5);
          expect(weight).toBeCloseTo(share * ownWeight + (1 - share) * otherWeight, 5);
          expect(Math.abs(pixel - (share * own + (1 - share) * other))).toBeLessThan(0.501);
        }
      }
    }
  });

  it("smooths targets in training only, and has weights only where they differ", async () => {
    const { batches } = source(8, { labelSmoothing: 0.3 });
    expect(batches.isWeighted).toBe(false);
    const [batch] = await all(batches.trainingBatches(0));
    expect(batch!.targets).toEqual(oneHot(batch!.labels, 3, 0.3));
    expect(batch).not.toHaveProperty("sampleWeights");
    const [test] = await all(batches.evaluationBatches());
    expect(test!.targets).toEqual(oneHot(test!.labels, 3));
  });

  it("weighs samples by their own weights", async () => {
    const { classes, samples } = numbered(4);
    const weighted = { classes, samples: samples.map((sample, index) => ({ ...sample, weight: index / 2 })) };
    const batches = new BatchSource(weighted, decoder().decodeImage, { batchSize: 4, decode });
    const [batch] = await all(batches.trainingBatches(0));
    expect(batch!.sampleWeights).toEqual(
      floatTensor(
        [4],
        Float32Array.from(batch!.indices, (index) => index / 2),
      ),
    );
  });

  it("changes an image otherwise each time that a balanced epoch shows it", async () => {
    const { classes, samples } = numbered(12);
    const rare = { classes, samples: samples.filter(({ label }, index) => label !== 0 || index === 0) };
    const options = { batchSize: 3, decode, augmentation: { ...noAugmentation, brightness: 0.9 } };
    const bright: DecodeToSize = async () => ({ ...decode, data: new Uint8Array(6).fill(100) });
    const batches = new BatchSource(rare, bright, { ...options, sampling: "balanced" });
    const list = await all(batches.trainingBatches(0));
    const shown = list.flatMap(({ images, indices }) =>
      [...indices.keys()].filter((row) => indices[row] === 0).map((row) => images.data[row * 6]),
    );
    expect(shown.length).toBe(3);
    expect(new Set(shown).size).toBe(3);
  });

  it("augments by seed, epoch and sample, whatever the batch size and the prefetch are", async () => {
    const augmentation = { ...noAugmentation, brightness: 0.9 };
    const pixelsBySample = async (options: Partial<BatchOptions>, epoch = 0) => {
      const list = await all(source(12, { augmentation, ...options }).batches.trainingBatches(epoch));
      const rows = list.flatMap(({ images, indices }) =>
        [...indices].map((index, row) => [index, images.data.slice(row * 6, row * 6 + 6)] as const),
      );
      return rows.sort(([a], [b]) => a - b);
    };
    const reference = await pixelsBySample({ batchSize: 4 });
    expect(reference.some(([index, pixels]) => pixels[0] !== index)).toBe(true);
    expect(await pixelsBySample({ batchSize: 3, prefetch: 1, cacheBytes: 0 })).toEqual(reference);
    expect(await pixelsBySample({ batchSize: 4 }, 1)).not.toEqual(reference);
    expect(await pixelsBySample({ batchSize: 4, seed: 1 })).not.toEqual(reference);
  });

  it("never augments the images it keeps", async () => {
    const { batches, asked } = source(8, { augmentation: { ...noAugmentation, brightness: 1 } });
    await all(batches.trainingBatches(0));
    const [batch] = await all(batches.evaluationBatches());
    expect([...batch!.images.data.subarray(18)]).toEqual(new Array(6).fill(3));
    expect(asked).toHaveLength(8);
  });
});

describe("damaged files", () => {
  it("are skipped and named, and batches stay full", async () => {
    const { batches } = source(12, {}, [2, 9]);
    const list = await all(batches.trainingBatches(0));
    expect(list.map(({ labels }) => labels.length)).toEqual([4, 4]);
    expect(indicesOf(list).flat()).not.toContain(2);
    expect(batches.skipped).toEqual([
      { file: "2", reason: 'image "2": the image is damaged.' },
      { file: "9", reason: 'image "9": the image is damaged.' },
    ]);
  });

  it("give the same batches when they are known before as when they are found", async () => {
    const { batches, asked } = source(30, {}, [1, 4, 11, 12, 29]);
    const found = await all(batches.trainingBatches(0));
    expect(await all(batches.trainingBatches(0))).toEqual(found);
    expect(asked).toHaveLength(30);
    const order = indicesOf(await all(source(30, { batchSize: 1 }).batches.trainingBatches(0))).flat();
    const usable = order.filter((index) => ![1, 4, 11, 12, 29].includes(index));
    expect(indicesOf(found).flat()).toEqual(usable.slice(0, 24));
  });

  it("end the pass when too few are left", async () => {
    const evaluation = source(4, {}, [0, 1, 2, 3]).batches.evaluationBatches();
    expect(await refusal(all(evaluation))).toMatchInlineSnapshot(
      `"DATA data set: there are no usable images (4 skipped). The first that were skipped: image "0": the image is damaged. image "1": the image is damaged. image "2": the image is damaged."`,
    );
    const training = source(5, {}, [0, 1]).batches.trainingBatches(0);
    expect(await refusal(all(training))).toMatchInlineSnapshot(
      `"DATA data set: there are not enough usable images for a batch (2 skipped); received 3; expected at least 4. The first that were skipped: image "0": the image is damaged. image "1": the image is damaged."`,
    );
  });

  it("only an image's own errors are taken for damage", async () => {
    const decodeImage = async () => Promise.reject(new TypeError("a mistake in the program"));
    const batches = new BatchSource(numbered(8), decodeImage, { batchSize: 4, decode });
    await expect(all(batches.evaluationBatches())).rejects.toThrow("a mistake in the program");
    expect(batches.skipped).toEqual([]);
  });
});

describe("prefetch and cache", () => {
  it("starts decoding the next batches before one is handed out", async () => {
    const { batches, asked } = source(20, { prefetch: 2 });
    const pass = batches.evaluationBatches();
    await pass.next();
    expect(asked).toEqual(Array.from({ length: 12 }, (_, index) => index));
    await pass.next();
    expect(asked).toHaveLength(16);
  });

  it("decodes once what fits into the cache", async () => {
    const { batches, asked } = source(10, { cacheBytes: 6 * 6 + 5 });
    await all(batches.evaluationBatches());
    await all(batches.evaluationBatches());
    expect(asked).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...asked.slice(10)]);
    expect(asked.slice(10)).toHaveLength(4);
  });

  it("takes pixels that are decoded already", async () => {
    const samples = [7, 8].map((value, label) => ({
      image: { ...decode, data: new Uint8Array(6).fill(value) },
      label,
      name: `drawing ${value}`,
    }));
    const { asked, decodeImage } = decoder();
    const batches = new BatchSource({ classes: ["a", "b"], samples }, decodeImage, { batchSize: 2, decode });
    const [batch] = await all(batches.evaluationBatches());
    expect([...batch!.images.data]).toEqual([7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8]);
    expect(asked).toEqual([]);
    const larger = new BatchSource({ classes: ["a", "b"], samples }, decodeImage, {
      batchSize: 2,
      decode: { width: 2, height: 2 },
    });
    expect(await refusal(all(larger.evaluationBatches()))).toMatchInlineSnapshot(
      `"SHAPE image "drawing 7": pixels that are decoded already must have the size of the batches; received "2×1"; expected 2×2."`,
    );
  });

  it("refuses pixels that do not fill their image, or are no bytes", async () => {
    const load = (data: unknown) => {
      const samples = [{ image: { ...decode, data: data as Uint8Array }, label: 0, name: "drawing" }];
      return all(
        new BatchSource({ classes: ["a"], samples }, decoder().decodeImage, {
          batchSize: 1,
          decode,
        }).evaluationBatches(),
      );
    };
    await expect(load(new Uint8Array(8))).rejects.toThrow("8 bytes for 2×1 pixels");
    await expect(load(new Uint8ClampedArray(6))).rejects.toThrow("this is not an image source");
  });
});

describe("stopping", () => {
  it("by signal, between samples", async () => {
    const { batches, asked } = source(40, { prefetch: 1 });
    const controller = new AbortController();
    const pass = batches.trainingBatches(0, { signal: controller.signal });
    await pass.next();
    controller.abort();
    expect(await refusal(pass.next())).toMatchInlineSnapshot(`"ABORTED loading images: it was stopped by the caller."`);
    expect(asked).toHaveLength(8);
  });

  it("by leaving the loop, without errors of what was under way coming out", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    const decodeImage: DecodeToSize = async (image, { width, height }) => {
      await nextTurn();
      if (Number(image) > 3) throw new TypeError("a mistake in the program");
      return { width, height, data: new Uint8Array(6) };
    };
    const batches = new BatchSource(numbered(12), decodeImage, { batchSize: 4, decode });
    for await (const { indices } of batches.evaluationBatches()) {
      expect([...indices]).toEqual([0, 1, 2, 3]);
      break;
    }
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });
});

describe("what is refused", () => {
  it("a data set smaller than a batch, before anything is decoded", async () => {
    const { batches, asked } = source(3);
    expect(await refusal(all(batches.trainingBatches(0)))).toMatchInlineSnapshot(
      `"DATA data set: there are not enough usable images for a batch; received 3; expected at least 4. Add images or use smaller batches."`,
    );
    expect(asked).toEqual([]);
  });

  it("options out of range", async () => {
    expect(() => source(8, { batchSize: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: batches option batchSize: this value is not allowed; received 0; expected a whole number from 1.]`,
    );
    expect(() => source(8, { prefetch: 0 })).toThrow("batches option prefetch");
    expect(() => source(8, { cacheBytes: -1 })).toThrow("batches option cacheBytes");
    expect(() => source(8, { augmentation: { ...noAugmentation, scale: 2 } })).toThrow("augmentation scale");
    const pass = (options: PassOptions) => refusal(all(source(8).batches.trainingBatches(0, options)));
    expect(await pass({ start: 9 })).toMatchInlineSnapshot(
      `"USAGE batches option start: this value is not allowed; received 9; expected a whole number from 0 to 8."`,
    );
  });
});

describe("shards", () => {
  it("together show what one process with larger batches shows, in the same order", async () => {
    const whole = await all(source(26, { batchSize: 6 }).batches.trainingBatches(1));
    const shards = [0, 1, 2].map((rank) => source(26, { batchSize: 2, shard: { rank, size: 3 } }).batches);
    const parts = await Promise.all(shards.map((batches) => all(batches.trainingBatches(1))));
    expect(shards.map(({ batchesPerEpoch }) => batchesPerEpoch)).toEqual([4, 4, 4]);
    expect(whole).toHaveLength(4);
    for (const [step, { indices }] of whole.entries()) {
      const interleaved = [0, 1].flatMap((row) => parts.map((part) => part[step]!.indices[row]));
      expect(interleaved).toEqual([...indices]);
    }
  });

  it("share the images of a test", async () => {
    const shards = [0, 1, 2].map((rank) => source(7, { batchSize: 2, shard: { rank, size: 3 } }).batches);
    const parts = await Promise.all(shards.map((batches) => all(batches.evaluationBatches())));
    expect(parts.map(indicesOf)).toEqual([[[0, 3], [6]], [[1, 4]], [[2, 5]]]);
    expect(shards.map(({ evaluationBatchCount }) => evaluationBatchCount)).toEqual([2, 2, 2]);
  });

  it("may be empty in a test, but not in training", async () => {
    const { batches } = source(2, { batchSize: 1, shard: { rank: 2, size: 3 } });
    expect(await all(batches.evaluationBatches())).toEqual([]);
    expect(await refusal(all(batches.trainingBatches(0)))).toBe(
      "DATA data set: there are not enough usable images for a batch; received 2; expected at least 3. Add images or use " +
        "smaller batches.",
    );
  });
});
