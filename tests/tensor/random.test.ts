import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deriveSeed, mulberry32, shuffledIndices } from "../../src/tensor/random.ts";

const seeds = fc.nat(2 ** 32 - 1);

/** The published algorithm in integers without bound, each step taken modulo 2³². */
function mulberry32InBigInts(seed: number, count: number): number[] {
  const modulus = 1n << 32n;
  let state = BigInt(seed);
  return Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5n) % modulus;
    let mixed = ((state ^ (state >> 15n)) * (state | 1n)) % modulus;
    mixed ^= (mixed + (mixed ^ (mixed >> 7n)) * (mixed | 61n)) % modulus;
    return Number(mixed ^ (mixed >> 14n)) / 2 ** 32;
  });
}

describe("mulberry32", () => {
  it("gives the known first values of seed 1", () => {
    const random = mulberry32(1);
    expect([random(), random(), random()]).toEqual([0.6270739405881613, 0.002735721180215478, 0.5274470399599522]);
  });

  it("agrees with the algorithm in unbounded integers for any seed", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = mulberry32(seed);
        expect(Array.from({ length: 20 }, random)).toEqual(mulberry32InBigInts(seed, 20));
      }),
    );
  });

  it("is spread evenly over [0, 1)", () => {
    const random = mulberry32(7);
    const values = Array.from({ length: 10_000 }, random);
    const tenths = new Array<number>(10).fill(0);
    for (const value of values) tenths[Math.floor(value * 10)]! += 1;
    // 1000 are expected in each tenth with a standard deviation of 30.
    expect(Math.min(...tenths)).toBeGreaterThan(850);
    expect(Math.max(...tenths)).toBeLessThan(1150);
  });
});

describe("deriveSeed", () => {
  it("is a 32-bit integer that depends only on its arguments", () => {
    fc.assert(
      fc.property(seeds, fc.string(), (seed, label) => {
        const derived = deriveSeed(seed, label, 3);
        expect(derived).toBe(deriveSeed(seed, label, 3));
        expect(derived).toBe(derived >>> 0);
      }),
    );
  });

  it("never gives two seeds the same stream for one purpose", () => {
    fc.assert(
      fc.property(seeds, seeds, (one, other) => {
        fc.pre(one !== other);
        expect(deriveSeed(one, "shuffle", 1)).not.toBe(deriveSeed(other, "shuffle", 1));
      }),
    );
  });

  it("differs between purposes, epochs and the order of labels", () => {
    const purposes = [["shuffle"], ["augment"], ["shuffle", 1], ["shuffle", 2], ["shuffle", 12], [1, "shuffle"], []];
    const derived = purposes.map((labels) => deriveSeed(7, ...labels));
    expect(new Set(derived).size).toBe(purposes.length);
  });
});

describe("shuffledIndices", () => {
  it("is a permutation", () => {
    fc.assert(
      fc.property(fc.nat(200), seeds, (count, seed) => {
        const sorted = shuffledIndices(count, mulberry32(seed)).toSorted();
        expect([...sorted]).toEqual(Array.from({ length: count }, (_, index) => index));
      }),
    );
  });

  it("swaps from the end as Fisher and Yates say", () => {
    // Draws of 0 swap the last with the first: 0123 → 3120 → 2130 → 1230.
    expect([...shuffledIndices(4, () => 0)]).toEqual([1, 2, 3, 0]);
    // Draws just below 1 leave each in its place.
    expect([...shuffledIndices(4, () => 1 - 2 ** -32)]).toEqual([0, 1, 2, 3]);
  });

  it("reaches every order equally often", () => {
    const random = mulberry32(3);
    const counts = new Map<string, number>();
    for (let round = 0; round < 6000; round++) {
      const order = shuffledIndices(3, random).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // 1000 of each are expected with a standard deviation of 29.
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(145);
  });
});
