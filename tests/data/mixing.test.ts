import { describe, expect, it } from "vitest";
import { drawBeta, drawMixture, type Mixing, type Mixture, mixRows } from "../../src/data/mixing.ts";
import { mulberry32 } from "../../src/tensor/random.ts";

const size = { width: 4, height: 2 };

describe("the Beta distribution", () => {
  const drawn = (alpha: number) => {
    const random = mulberry32(11);
    return Float64Array.from({ length: 5000 }, () => drawBeta(alpha, random)).sort();
  };

  // Where the distribution function is known: evenly distributed; arcsine; x²(3 − 2x).
  it.each([
    [1, (x: number) => x],
    [0.5, (x: number) => (2 / Math.PI) * Math.asin(Math.sqrt(x))],
    [2, (x: number) => x * x * (3 - 2 * x)],
  ])("with α = %d has the right distribution", (alpha, distribution) => {
    const values = drawn(alpha);
    const farthest = values.reduce((worst, x, rank) => Math.max(worst, Math.abs(distribution(x) - rank / 5000)), 0);
    expect(farthest).toBeLessThan(1.63 / Math.sqrt(5000)); // Kolmogorov and Smirnov's bound at 1 %
  });

  it.each([0.01, 0.2, 0.4, 8])("with α = %d has mean ½ and variance 1 / (8α + 4)", (alpha) => {
    const values = drawn(alpha);
    const mean = values.reduce((sum, x) => sum + x, 0) / 5000;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 5000;
    expect(values.every((x) => x >= 0 && x <= 1)).toBe(true);
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
    expect(Math.abs(variance * (8 * alpha + 4) - 1)).toBeLessThan(0.06);
  });
});

describe("a mixture", () => {
  const draw = (mixing: Mixing, seed = 1, count = 3000) => {
    const random = mulberry32(seed);
    return Array.from({ length: count }, () => drawMixture(mixing, { width: 100, height: 80 }, random));
  };

  it("is none where nothing is asked for", () => {
    expect(draw({}, 1, 5)).toEqual(new Array(5).fill(undefined));
    expect(draw({ mixup: 1, probability: 0 }, 1, 5)).toEqual(new Array(5).fill(undefined));
  });

  it("leaves the image at least half of it", () => {
    for (const mixture of draw({ mixup: 0.4, cutMix: 1 })) {
      expect(mixture!.share).toBeGreaterThanOrEqual(0.5);
      expect(mixture!.share).toBeLessThanOrEqual(1);
    }
  });

  it("with α = 1 has shares evenly between ½ and 1", () => {
    const shares = draw({ mixup: 1 }).map((mixture) => mixture!.share);
    expect(shares.filter((share) => share < 0.75).length / shares.length).toBeCloseTo(0.5, 1);
  });

  it("is as often CutMix as it should be, and as often there at all", () => {
    const mixtures = draw({ mixup: 1, cutMix: 1, probability: 0.6, cutMixShare: 0.25 });
    const some = mixtures.filter((mixture) => mixture !== undefined);
    expect(some.length / mixtures.length).toBeCloseTo(0.6, 1);
    expect(some.filter(({ window }) => window).length / some.length).toBeCloseTo(0.25, 1);
    expect(draw({ mixup: 1 }).every((mixture) => mixture!.window === undefined)).toBe(true);
    expect(draw({ cutMix: 1 }).every((mixture) => mixture!.window !== undefined)).toBe(true);
  });

  it("of CutMix has the share of the pixels that it really keeps", () => {
    for (const mixture of draw({ cutMix: 1 }, 3, 60)) {
      const white = new Uint8Array(100 * 80 * 3).fill(255);
      const pixels = new Uint8Array(2 * white.length);
      pixels.set(white);
      mixRows({ pixels, targets: Float32Array.of(1, 0, 0, 1) }, [mixture, undefined], { width: 100, height: 80 });
      const kept = pixels.subarray(0, white.length).filter((value) => value === 255).length / white.length;
      expect(kept).toBeCloseTo(mixture!.share, 10);
    }
  });
});

describe("mixing rows", () => {
  const bytes = size.width * size.height * 3;
  const rows = (weights?: Float32Array) => {
    const pixels = Uint8Array.from({ length: 3 * bytes }, (_, at) => [10, 101, 250][Math.floor(at / bytes)]!);
    return { pixels, targets: Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1), weights };
  };
  const half: Mixture = { share: 0.5 };

  it("blends each image and its targets with the next, the last with the first", () => {
    const mixed = rows();
    mixRows(mixed, [{ share: 0.75 }, half, { share: 0.6 }], size);
    // ¾·10 + ¼·101 = 32.75; ½·101 + ½·250 = 175.5; 0.6·250 + 0.4·10 = 154, all of the images as they were.
    expect([0, bytes, 2 * bytes].map((at) => mixed.pixels[at])).toEqual([33, 176, 154]);
    expect(mixed.targets).toEqual(Float32Array.of(0.75, 0.25, 0, 0, 0.5, 0.5, 0.4, 0, 0.6));
  });

  it("pastes a rectangle of the next image", () => {
    const mixed = rows();
    const window = { x: 0.25, y: 0, width: 0.5, height: 0.5 };
    mixRows(mixed, [undefined, { share: 0.75, window }, undefined], size);
    const red = Array.from({ length: 8 }, (_, pixel) => mixed.pixels[bytes + 3 * pixel]);
    expect(red).toEqual([101, 250, 250, 101, 101, 101, 101, 101]);
    expect(mixed.targets).toEqual(Float32Array.of(1, 0, 0, 0, 0.75, 0.25, 0, 0, 1));
  });

  it("lets a mixture add to the loss what both labels add with their weights", () => {
    const mixed = rows(Float32Array.of(2, 1, 4));
    mixRows(mixed, [{ share: 0.75 }, undefined, half], size);
    // 0.75·2 + 0.25·1 = 1.75, of which the first has 1.5; 0.5·4 + 0.5·2 = 3, of which the last has 2.
    expect(mixed.weights).toEqual(Float32Array.of(1.75, 1, 3));
    expect(mixed.targets).toEqual(Float32Array.of(1.5 / 1.75, 0.25 / 1.75, 0, 0, 1, 0, 1 / 3, 0, 2 / 3));
  });

  it("leaves the targets of what counts for nothing", () => {
    const mixed = rows(Float32Array.of(0, 0, 1));
    mixRows(mixed, [half, undefined, undefined], size);
    expect(mixed.weights).toEqual(Float32Array.of(0, 0, 1));
    expect(mixed.targets.subarray(0, 3)).toEqual(Float32Array.of(1, 0, 0));
  });
});
