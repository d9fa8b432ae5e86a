import { AbortedError } from "../errors.ts";

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
    if (signal?.aborted) {
      throw new AbortedError({ where: "loading images", what: "it was stopped by the caller", cause: signal.reason });
    }
    const { index, item } = underWay.shift()!;
    refill();
    yield { index, item: await item };
  }
}
