/** A source of uniformly distributed numbers in [0, 1); the same seed gives the same numbers on every machine. */
export type Random = () => number;

/**
 * The mulberry32 generator: 32 bits of state, full period, good enough for initial weights, shuffles and augmentation.
 * Not for cryptography.
 */
export function mulberry32(seed: number): Random {
  // Signed: V8 keeps such integers without a heap object for each.
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * A seed for one purpose, derived from a run's seed and a list of labels, so that two purposes never share a stream and
 * adding one does not disturb the others (FNV-1a over the text of the labels, finished by an avalanche step).
 * @example deriveSeed(7, "shuffle", 3) // the shuffle of epoch 3
 */
export function deriveSeed(seed: number, ...labels: readonly (string | number)[]): number {
  let hash = 0x811c9dc5 ^ (seed >>> 0);
  for (const character of labels.join("/")) {
    hash ^= character.codePointAt(0)!;
    hash = Math.imul(hash, 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  return hash >>> 0;
}

/** The integers 0 … `count` − 1 in random order (Fisher–Yates). */
export function shuffledIndices(count: number, random: Random): Uint32Array {
  const indices = Uint32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const swapped = indices[last]!;
    indices[last] = indices[other]!;
    indices[other] = swapped;
  }
  return indices;
}

/** Draws from the normal distribution by Box and Muller's method, which takes two random numbers. */
export function drawNormal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}
