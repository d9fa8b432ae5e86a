import { DataError, UsageError } from "../errors.ts";
import type { DecodeOptions, Platform } from "../platform.ts";
import { deriveSeed, mulberry32, shuffledIndices } from "../tensor/random.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Augmentation, augment, checkAugmentation } from "./augment.ts";
import type { ImageDataset } from "./dataset.ts";
import { PictureStore, type SkippedFile } from "./picture-store.ts";
import { readAhead } from "./read-ahead.ts";

/** Some pictures of a data set, ready for the engine. */
export interface Batch {
  /** `[N, height, width, 3]`, red, green, blue from 0 to 255. */
  readonly images: Tensor<"uint8">;
  /** `[N]`, indices into the data set's classes. */
  readonly labels: Int32Array;
  /** `[N]`, indices into the data set's samples. */
  readonly indices: Uint32Array;
  /** Where the epoch goes on after this batch: pass it as `start` to resume. */
  readonly nextPosition: number;
}

export interface BatchOptions {
  readonly batchSize: number;
  /** Size of the pictures, and how they are brought to it. */
  readonly decode: DecodeOptions;
  /** Of the shuffles and the augmentation; default 0. */
  readonly seed?: number;
  /** Random changes of training pictures; default none. */
  readonly augmentation?: Augmentation;
  /** How many batches are decoded ahead of the caller; default 2. */
  readonly prefetch?: number;
  /** Most memory that decoded pictures may take from one epoch to the next; default 1 GiB. */
  readonly cacheBytes?: number;
}

/** How one pass over the data set runs. */
export interface PassOptions {
  /** Position in the order of the epoch to start from; default 0. */
  readonly start?: number;
  readonly signal?: AbortSignal;
}

interface Loaded {
  readonly index: number;
  /** Not to be written to: the store keeps it. */
  readonly pixels: Uint8Array;
}

interface Group {
  readonly group: readonly Loaded[];
  readonly nextPosition: number;
}

/** Puts the pixels of a sample into its place in the batch. */
type WritePixels = (target: Uint8Array, pixels: Uint8Array, index: number) => void;

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
 * difference when the damage is found, or whether a resumed run finds it anew.
 */
export class BatchSource {
  readonly #dataset: ImageDataset;
  readonly #store: PictureStore;
  readonly #options: BatchOptions;
  /** How many samples are loaded ahead. */
  readonly #ahead: number;

  /** @throws {UsageError} an option is out of its range. */
  constructor(dataset: ImageDataset, decodeImage: Platform["decodeImage"], options: BatchOptions) {
    const { batchSize, prefetch = 2, cacheBytes = 2 ** 30, augmentation } = options;
    checkCount("batchSize", batchSize, 1);
    checkCount("prefetch", prefetch, 1);
    checkCount("cacheBytes", cacheBytes, 0);
    if (augmentation !== undefined) checkAugmentation(augmentation);
    this.#dataset = dataset;
    this.#options = options;
    this.#ahead = prefetch * batchSize;
    this.#store = new PictureStore(dataset, decodeImage, options.decode, cacheBytes);
  }

  /** Files found unusable so far; complete after one pass over the data set. */
  get skipped(): readonly SkippedFile[] {
    return this.#store.skipped;
  }

  /** Training batches of an epoch in which no file is skipped; with skipped files there can be fewer. */
  get batchesPerEpoch(): number {
    return Math.floor(this.#dataset.samples.length / this.#options.batchSize);
  }

  /**
   * One epoch of training: shuffled, augmented, all batches full; samples left over at the end are left out. The same seed
   * and epoch give the same batches.
   * @param epoch number from 0.
   * @throws {DataError} there are not enough usable pictures for one batch.
   * @throws {AbortedError} the signal fired.
   */
  async *trainingBatches(epoch: number, { start = 0, signal }: PassOptions = {}): AsyncGenerator<Batch, void, void> {
    const { seed = 0, batchSize, augmentation } = this.#options;
    const { samples } = this.#dataset;
    // Said before an epoch of decoding, not after it.
    if (samples.length < batchSize) this.#refuseTooFew(samples.length, batchSize);
    const order = shuffledIndices(samples.length, mulberry32(deriveSeed(seed, "shuffle", epoch)));
    const write: WritePixels = (target, pixels, index) => {
      if (augmentation === undefined) return target.set(pixels);
      // Seeded by sample and epoch: the same change whichever batch the sample lands in and whatever is decoded first.
      const random = mulberry32(deriveSeed(seed, "augment", epoch, index));
      augment(target, pixels, this.#options.decode, augmentation, random);
    };
    let usable = 0;
    for await (const { group, nextPosition } of this.#groups(order, start, signal)) {
      usable += group.length;
      if (group.length === batchSize) yield this.#assemble(group, nextPosition, write);
    }
    if (start === 0 && usable < batchSize) this.#refuseTooFew(usable, batchSize);
  }

  /**
   * All samples once, in the order of the data set, as they are; the last batch may be smaller.
   * @throws {DataError} there is no usable picture.
   * @throws {AbortedError} the signal fired.
   */
  async *evaluationBatches({ start = 0, signal }: PassOptions = {}): AsyncGenerator<Batch, void, void> {
    const order = Uint32Array.from(this.#dataset.samples, (_, index) => index);
    let usable = 0;
    for await (const { group, nextPosition } of this.#groups(order, start, signal)) {
      usable += group.length;
      yield this.#assemble(group, nextPosition, (target, pixels) => target.set(pixels));
    }
    if (start === 0 && usable === 0) this.#refuseTooFew(0, 1);
  }

  /** The usable samples of an order, in groups of the batch size; the last group takes what is left. */
  async *#groups(
    order: Uint32Array,
    start: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Group, void, void> {
    checkCount("start", start, 0, order.length);
    let group: Loaded[] = [];
    let nextPosition = start;
    const load = (index: number) => this.#store.load(index);
    for await (const { index, item: pixels } of readAhead(order.subarray(start), load, this.#ahead, signal)) {
      nextPosition++;
      if (pixels === undefined) continue;
      group.push({ index, pixels });
      if (group.length < this.#options.batchSize) continue;
      yield { group, nextPosition };
      group = [];
    }
    if (group.length > 0) yield { group, nextPosition };
  }

  #assemble(group: readonly Loaded[], nextPosition: number, write: WritePixels): Batch {
    const { width, height } = this.#options.decode;
    const bytes = width * height * 3;
    const data = new Uint8Array(group.length * bytes);
    for (const [row, { index, pixels }] of group.entries()) {
      write(data.subarray(row * bytes, (row + 1) * bytes), pixels, index);
    }
    return {
      images: { type: "uint8", shape: [group.length, height, width, 3], data },
      labels: Int32Array.from(group, ({ index }) => this.#dataset.samples[index]!.label),
      indices: Uint32Array.from(group, ({ index }) => index),
      nextPosition,
    };
  }

  #refuseTooFew(usable: number, needed: number): never {
    const reasons = this.skipped.slice(0, 3).map(({ reason }) => ` ${reason}`);
    throw new DataError({
      where: "data set",
      what: `there are not enough usable pictures for a batch${reasons.length > 0 ? ` (${this.skipped.length} skipped)` : ""}`,
      received: usable,
      expected: `at least ${needed}`,
      remedy:
        reasons.length > 0 ? `The first that were skipped:${reasons.join("")}` : "Add pictures or use smaller batches.",
    });
  }
}

function checkCount(option: string, value: number, smallest: number, largest = Number.MAX_SAFE_INTEGER): void {
  if (Number.isInteger(value) && value >= smallest && value <= largest) return;
  throw new UsageError({
    where: `batches option ${option}`,
    what: "the value is not allowed",
    received: value,
    expected: `a whole number from ${smallest}${largest < Number.MAX_SAFE_INTEGER ? ` to ${largest}` : ""}`,
  });
}
