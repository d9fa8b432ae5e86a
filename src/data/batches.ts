import { DataError } from "../base/errors.ts";
import { assertOption, wholeNumber } from "../base/kinds.ts";
import type { DecodeToSize, SizedDecodeOptions } from "../base/platform.ts";
import type { SkippedFile } from "../base/records.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../tensor/tensor.ts";
import { type Augmentation, checkAugmentation, checkMixing } from "./augmentation.ts";
import type { ImageDataset } from "./dataset.ts";
import { applyImageChange, imageChangeOf, mixtureOf, type RandomChanges, type Showing } from "./image-change.ts";
import { imageStore, readAhead } from "./image-loading.ts";
import { targetsOf } from "./labels.ts";
import { type Mixing, mixRows } from "./mixing.ts";
import { weightOf } from "./sample-weights.ts";
import { type EpochOrder, epochOrder, type Sampling, type Shard, shardOf } from "./sampling.ts";

/** Some images of a data set, ready for the engine. */
export interface Batch {
  /** `[N, height, width, 3]`, red, green, blue from 0 to 255. */
  readonly images: Tensor<"uint8">;
  /** `[N]`, indices into the data set's classes; of a mixture, the class of the image with the larger share. */
  readonly labels: Int32Array;
  /** `[N, classes]`, target probabilities: smoothed and mixed in training. */
  readonly targets: FloatTensor;
  /** `[N]`, sample weights of the loss; only if the source {@link BatchSource.isWeighted}. */
  readonly sampleWeights?: FloatTensor;
  /** `[N]`, indices into the data set's samples. */
  readonly indices: Uint32Array;
  /** Name of each image's view, `[N]`, if views are repeated: the same name, the same pixels. */
  readonly views?: readonly string[];
  /** Position in the epoch after this batch: pass it as `start` to resume. */
  readonly nextPosition: number;
}

export interface BatchOptions {
  readonly batchSize: number;
  /** Image size and the way images are resized to it. */
  readonly decode: SizedDecodeOptions;
  /** Seed of the shuffles and the augmentation; default 0. */
  readonly seed?: number;
  /** Random changes of training images; default none. */
  readonly augmentation?: Augmentation | undefined;
  /** Number of epochs after which the same augmented views are shown again; default: never. */
  readonly views?: number | undefined;
  /** Mixtures of two training images; default none. */
  readonly mixing?: Mixing | undefined;
  /** Share of the target probability in training that is spread over all classes, 0 ≤ share < 1; default 0. */
  readonly labelSmoothing?: number;
  /** Sampling of a training epoch; default `shuffled`. */
  readonly sampling?: Sampling | undefined;
  /** Class weights of the loss, `[classes]`; default all the same. */
  readonly classWeights?: readonly number[] | undefined;
  /**
   * Shard of the data set for one of several ranks; default the only one. Batch i of all ranks together is batch i of a single
   * process with that many times the batch size.
   */
  readonly shard?: Shard | undefined;
  /** Batches decoded ahead of the caller; default 2. */
  readonly prefetch?: number;
  /** Memory limit of the decoded images kept between epochs; default 1 GiB. */
  readonly cacheBytes?: number;
}

/** Options of one pass over the data set. */
export interface PassOptions {
  /** Position in the order of the epoch, or the shard's part of it, to start from; default 0. */
  readonly start?: number;
  readonly signal?: AbortSignal;
}

interface ViewOptions extends Pick<PassOptions, "signal"> {
  readonly view?: number;
}

interface Loaded {
  readonly index: number;
  readonly repeat: number;
  /** Not to be written to: the store keeps it. */
  readonly pixels: Uint8Array;
}

type Write = (target: Uint8Array, loaded: Loaded, row: number) => void;

/**
 * A data set in batches.
 *
 * Decoding runs ahead of the caller in the decoder's own threads. The engine blocks the JavaScript thread for as long as
 * it runs, so whatever should happen beside a training step must be under way before: each batch is handed out only when
 * the decoding of the next ones has been started.
 *
 * Files that turn out to be damaged are skipped, and the batch is filled up with the samples that come next. Only a full
 * decode can tell, and for a hundred thousand photos that takes many minutes, so there is no check beforehand. The order of
 * an epoch is a shuffle of all samples, damaged ones too, and a batch is the next N usable ones of that order: it makes no
 * difference when the damage is found, or whether a resumed run finds it again.
 */
export class BatchSource {
  readonly #dataset: ImageDataset;
  readonly #store: ReturnType<typeof imageStore>;
  readonly #options: BatchOptions;
  readonly #changes: RandomChanges;
  readonly #shard: Shard;
  /** Samples loaded ahead. */
  readonly #ahead: number;
  /** True if training batches have sample weights. */
  readonly isWeighted: boolean;

  /** @throws {UsageError} an option is out of its range. */
  constructor(dataset: ImageDataset, decodeImage: DecodeToSize, options: BatchOptions) {
    const { batchSize, prefetch = 2, cacheBytes = 2 ** 30, augmentation, mixing, classWeights, seed = 0 } = options;
    const { shard = { rank: 0, size: 1 } } = options;
    assertOption("batches option batchSize", batchSize, wholeNumber({ from: 1 }));
    assertOption("batches option prefetch", prefetch, wholeNumber({ from: 1 }));
    assertOption("batches option cacheBytes", cacheBytes, wholeNumber({ from: 0 }));
    if (augmentation) checkAugmentation(augmentation);
    if (mixing) checkMixing(mixing, batchSize);
    this.isWeighted = classWeights !== undefined || dataset.samples.some(({ weight }) => weight !== undefined);
    this.#dataset = dataset;
    this.#options = options;
    this.#shard = shard;
    this.#changes = { seed, size: options.decode, augmentation, mixing };
    this.#ahead = prefetch * batchSize;
    this.#store = imageStore(dataset, decodeImage, options.decode, cacheBytes);
  }

  /** Files found unusable so far; complete after one pass over the data set. */
  get skipped(): readonly SkippedFile[] {
    return this.#store.skipped;
  }

  /** Training batches of an epoch, on every shard, in which no file is skipped; with skipped files there can be fewer. */
  get batchesPerEpoch(): number {
    return Math.floor(this.#dataset.samples.length / (this.#shard.size * this.#options.batchSize));
  }

  /** Evaluation batches of the largest shard in which no file is skipped. */
  get evaluationBatchCount(): number {
    return Math.ceil(Math.ceil(this.#dataset.samples.length / this.#shard.size) / this.batchSize);
  }

  get batchSize(): number {
    return this.#options.batchSize;
  }

  /** Number of classes. */
  get classes(): number {
    return this.#dataset.classes.length;
  }

  /**
   * One epoch of training: shuffled, augmented, mixed, all batches full; samples left over at the end are left out. The same
   * seed and epoch give the same batches.
   * @param epoch number from 0.
   * @throws {DataError} there are not enough usable images for one batch.
   * @throws {AbortedError} the signal fired.
   */
  async *trainingBatches(epoch: number, { start = 0, signal }: PassOptions = {}): AsyncGenerator<Batch, void, void> {
    const { batchSize, sampling = "shuffled" } = this.#options;
    const { samples } = this.#dataset;
    // Reported before an epoch of decoding, not after it.
    const needed = batchSize * this.#shard.size;
    if (samples.length < needed) this.assertEnough(samples.length, needed);
    const order = shardOf(epochOrder(this.#dataset, sampling, this.#changes.seed, epoch), this.#shard);
    let usable = 0;
    for await (const { group, nextPosition } of this.#groups(order, start, signal)) {
      usable += group.length;
      if (group.length === batchSize) yield this.#trainingBatch(epoch, group, nextPosition);
    }
    if (start === 0 && usable < batchSize) this.assertEnough(usable, batchSize);
  }

  /**
   * All samples of the shard once, in the order of the data set; the last batch may be smaller.
   * @param options `view`: 0, the default, is the images as they are; others are augmented at random, unlike in any training
   *   epoch and reproducibly by seed and view. Nothing is mixed.
   * @throws {DataError} there is no usable image, and no other shard.
   * @throws {AbortedError} the signal fired.
   */
  async *evaluationBatches({ view = 0, signal }: ViewOptions = {}): AsyncGenerator<Batch, void, void> {
    const indices = Uint32Array.from(this.#dataset.samples, (_, index) => index);
    const order = shardOf({ indices, repeats: new Uint32Array(indices.length) }, this.#shard);
    let usable = 0;
    for await (const { group, nextPosition } of this.#groups(order, 0, signal)) {
      usable += group.length;
      const showings = group.map(({ index }): Showing => ({ epoch: -view, index, repeat: 0 }));
      const write: Write = view === 0 ? (target, { pixels }) => target.set(pixels) : this.#changing(showings);
      yield this.#assemble(group, nextPosition, write);
    }
    if (usable === 0 && this.#shard.size === 1) this.assertEnough(0, 1);
  }

  /** The usable samples of an order, in groups of the batch size; the last group takes what is left. */
  async *#groups(
    { indices, repeats }: EpochOrder,
    start: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<{ readonly group: readonly Loaded[]; readonly nextPosition: number }, void, void> {
    assertOption("batches option start", start, wholeNumber({ from: 0, to: indices.length }));
    let group: Loaded[] = [];
    let nextPosition = start;
    const load = (index: number) => this.#store.load(index);
    for await (const { index, item: pixels } of readAhead(indices.subarray(start), load, this.#ahead, signal)) {
      const repeat = repeats[nextPosition++]!;
      if (pixels === undefined) continue;
      group.push({ index, repeat, pixels });
      if (group.length < this.#options.batchSize) continue;
      yield { group, nextPosition };
      group = [];
    }
    if (group.length > 0) yield { group, nextPosition };
  }

  #trainingBatch(epoch: number, group: readonly Loaded[], nextPosition: number): Batch {
    const { labelSmoothing, classWeights, decode, views } = this.#options;
    const view = views === undefined ? epoch : epoch % views;
    const showings = group.map(({ index, repeat }): Showing => ({ epoch: view, index, repeat }));
    const batch = this.#assemble(group, nextPosition, this.#changing(showings), labelSmoothing);
    const weights = this.isWeighted
      ? Float32Array.from(group, ({ index }) => weightOf(this.#dataset.samples[index]!, classWeights))
      : undefined;
    const mixtures = showings.map((showing) => mixtureOf(this.#changes, showing));
    mixRows({ pixels: batch.images.data, targets: batch.targets.data, weights }, mixtures, decode);
    return {
      ...batch,
      ...(weights && { sampleWeights: floatTensor([group.length], weights) }),
      ...(views !== undefined && { views: group.map(({ index, repeat }) => `${view}/${index}/${repeat}`) }),
    };
  }

  /** Puts each image into its place in the batch as it is changed in its showing. */
  #changing(showings: readonly Showing[]): Write {
    return (target, { pixels }, row) => {
      const change = imageChangeOf(this.#changes, showings[row]!);
      if (change) applyImageChange(target, pixels, this.#options.decode, change);
      else target.set(pixels);
    };
  }

  /** @param write puts the pixels of a row into its place in the batch. */
  #assemble(group: readonly Loaded[], nextPosition: number, write: Write, labelSmoothing = 0): Batch {
    const { width, height } = this.#options.decode;
    const { classes, samples } = this.#dataset;
    const bytes = width * height * 3;
    const data = new Uint8Array(group.length * bytes);
    for (const [row, loaded] of group.entries()) write(data.subarray(row * bytes, (row + 1) * bytes), loaded, row);
    const members = group.map(({ index }) => samples[index]!);
    return {
      images: { type: "uint8", shape: [group.length, height, width, 3], data },
      labels: Int32Array.from(members, ({ label }) => label),
      targets: targetsOf(members, classes.length, labelSmoothing),
      indices: Uint32Array.from(group, ({ index }) => index),
      nextPosition,
    };
  }

  /** @throws {DataError} always: there are not enough usable images. */
  assertEnough(usable: number, needed: number): never {
    throw notEnoughImages(this.skipped, usable, needed);
  }
}

/** The error of a data set with too few usable images. */
export function notEnoughImages(skipped: readonly SkippedFile[], usable: number, needed: number): DataError {
  const reasons = skipped.slice(0, 3).map(({ reason }) => ` ${reason}`);
  const isSkipped = reasons.length > 0;
  const left = isSkipped ? ` (${skipped.length} skipped)` : "";
  const remedyOr = (other: string) => (isSkipped ? `The first that were skipped:${reasons.join("")}` : other);
  if (needed === 1) {
    const what = `there are no usable images${left}`;
    return new DataError({ where: "data set", what, remedy: remedyOr("Add images.") });
  }
  return new DataError({
    where: "data set",
    what: `there are not enough usable images for a batch${left}`,
    received: usable,
    expected: `at least ${needed}`,
    remedy: remedyOr("Add images or use smaller batches."),
  });
}
