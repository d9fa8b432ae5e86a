import { assertNotAborted, ShapeError, XceptionError } from "../base/errors.ts";
import type { DecodeToSize, RgbImage, SizedDecodeOptions } from "../base/platform.ts";
import type { SkippedFile } from "../base/records.ts";
import { assertPixels } from "../base/source.ts";
import type { ImageDataset } from "./dataset.ts";

/**
 * The images of a data set as pixels of one size: decoded when first asked for, then kept while they fit into memory.
 *
 * Kept are the images that come first, and none is ever given up for another: an epoch asks for each image once, in a
 * new order, so anything that evicts (least recently used, say) would throw out just what the next epoch needs.
 * @param cacheBytes most memory that images kept may take.
 */
export function imageStore(
  { samples }: ImageDataset,
  decodeImage: DecodeToSize,
  options: SizedDecodeOptions,
  cacheBytes: number,
) {
  const kept = new Map<number, Uint8Array>();
  const unusable = new Map<number, SkippedFile>();
  let freeBytes = cacheBytes;
  const keep = (index: number, data: Uint8Array) => {
    if (data.length > freeBytes || kept.has(index)) return;
    freeBytes -= data.length;
    kept.set(index, data);
  };
  return {
    /** Files found unusable so far, sorted by their place in the data set. */
    get skipped(): SkippedFile[] {
      return [...unusable].sort(([a], [b]) => a - b).map(([, file]) => file);
    },
    /**
     * Pixels `[height, width, 3]` of one sample, not to be written to; `undefined` when its file cannot be used.
     * @throws {ShapeError} an image given as pixels has another size, or they do not fill it.
     * @throws {UsageError} its pixels are not bytes.
     */
    async load(index: number): Promise<Uint8Array | undefined> {
      const known = kept.get(index);
      if (known !== undefined) return known;
      if (unusable.has(index)) return undefined;
      const { image, name } = samples[index]!;
      if (typeof image === "object" && image !== null && "data" in image) return pixelsOfSize(image, name, options);
      try {
        const { data } = await decodeImage(image, options);
        keep(index, data);
        return data;
      } catch (error) {
        unusable.set(index, { file: name, reason: asImageError(error).message });
        return undefined;
      }
    },
  };
}

/** @throws {ShapeError} they are of another size. */
function pixelsOfSize(image: RgbImage, name: string, wanted: SizedDecodeOptions): Uint8Array {
  const where = `image "${name}"`;
  assertPixels(image, where);
  const { width, height, data } = image;
  if (width === wanted.width && height === wanted.height) return data;
  throw new ShapeError({
    where,
    what: "pixels that are decoded already must have the size of the batches",
    received: `${width}×${height}`,
    expected: `${wanted.width}×${wanted.height}`,
  });
}

/** Returns the error of an image that cannot be used; throws any other one. */
export function asImageError(error: unknown): XceptionError {
  const codes: readonly string[] = ["FORMAT", "FILE", "DATA", "SHAPE", "USAGE", "WEIGHTS"];
  if (error instanceof XceptionError && codes.includes(error.code)) return error;
  throw error;
}

/**
 * Loads items in order while the loading of the `ahead` items after the one handed out is already under way.
 *
 * Loading cannot be called back, so when the caller stops early the items under way are let finish unseen.
 * @param ahead at least 1.
 * @throws {AbortedError} the signal fired.
 */
export async function* readAhead<T>(
  order: Iterable<number>,
  load: (index: number) => Promise<T>,
  ahead: number,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly index: number; readonly item: T }, void, void> {
  const indices = order[Symbol.iterator]();
  const underWay: { readonly index: number; readonly item: Promise<T> }[] = [];
  const refill = () => {
    while (underWay.length < ahead) {
      const { done, value: index } = indices.next();
      if (done) return;
      const item = load(index);
      // Whoever awaits the item gets its error; this keeps an error nobody waits for any more from ending the process.
      item.catch(() => {});
      underWay.push({ index, item });
    }
  };
  refill();
  while (underWay.length > 0) {
    assertNotAborted(signal, "loading images");
    const { index, item } = underWay.shift()!;
    refill();
    yield { index, item: await item };
  }
}
