import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Augmentation, augmentations, defaultAugmentation, noAugmentation } from "../../src/data/augmentation.ts";
import { changeColors } from "../../src/data/color.ts";
import {
  type Affine,
  drawErasing,
  drawWindow,
  type Erasing,
  type ErasingFill,
  erase,
  erasingDefaults,
  warp,
} from "../../src/data/geometry.ts";
import { applyImageChange, drawImageChange } from "../../src/data/image-change.ts";
import { applyOperation, drawOperations, type OperationName } from "../../src/data/rand-augment.ts";
import { mulberry32, type Random } from "../../src/tensor/random.ts";

const identity: Affine = { xFromX: 1, xFromY: 0, x: 0, yFromX: 0, yFromY: 1, y: 0 };
const size = { width: 7, height: 5 };
const image = Uint8Array.from({ length: 7 * 5 * 3 }, (_, at) => (at * 37 + 11) % 256);

function warped(affine: Partial<Affine>, source = image, { width, height } = size): Uint8Array {
  const target = new Uint8Array(source.length);
  warp(target, source, { width, height }, { ...identity, ...affine });
  return target;
}

/** The image with pixel (x, y) taken from `placeOf(x, y)`. */
function rearranged(placeOf: (x: number, y: number) => readonly [x: number, y: number]): Uint8Array {
  return image.map((_, at) => {
    const pixel = Math.floor(at / 3);
    const [x, y] = placeOf(pixel % 7, Math.floor(pixel / 7));
    return image[(y * 7 + x) * 3 + (at % 3)]!;
  });
}

function augmented(changes: Partial<Augmentation>, random: Random): Uint8Array {
  const target = new Uint8Array(image.length);
  applyImageChange(target, image, size, drawImageChange({ ...noAugmentation, ...changes }, random));
  return target;
}

/** Random numbers that are all the same: 0 is the lower end of every range, 0.5 the middle. */
const always =
  (value: number): Random =>
  () =>
    value;

describe("warp", () => {
  it("leaves every pixel in its place", () => {
    expect(warped({})).toEqual(image);
  });

  it("mirrors exactly, either way", () => {
    expect(warped({ xFromX: -1 })).toEqual(rearranged((x, y) => [6 - x, y]));
    expect(warped({ yFromY: -1 })).toEqual(rearranged((x, y) => [x, 4 - y]));
  });

  it("turns by a half exactly, and by a quarter about the center", () => {
    expect(warped({ xFromX: -1, yFromY: -1 })).toEqual(rearranged((x, y) => [6 - x, 4 - y]));
    const quarter = warped({ xFromX: 0, xFromY: 1, yFromX: -1, yFromY: 0 });
    // The middle 5×5 pixels are all inside; x comes from y and the other way round.
    const expected = rearranged((x, y) => [Math.max(0, Math.min(6, y + 1)), Math.max(0, Math.min(4, 5 - x))]);
    expect(quarter).toEqual(expected);
  });

  it("shifts by whole pixels exactly and repeats the border", () => {
    fc.assert(
      fc.property(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -9, max: 9 }), (x, y) => {
        const inside = (value: number, last: number) => Math.max(0, Math.min(last, value));
        expect(warped({ x, y })).toEqual(rearranged((column, row) => [inside(column + x, 6), inside(row + y, 4)]));
      }),
    );
  });

  it("mixes four neighbors by their distance", () => {
    const corners = Uint8Array.of(0, 10, 20, 100, 110, 120, 40, 50, 60, 200, 210, 220);
    // A quarter to the right and half down from the top left pixel: weights ¾·½, ¼·½, ¾·½, ¼·½.
    const mixed = warped({ x: 0.25, y: 0.5 }, corners, { width: 2, height: 2 });
    expect([...mixed.subarray(0, 3)]).toEqual([53, 63, 73]); // 52.5 is rounded up
  });

  it("agrees with the definition in floating point", () => {
    const part = fc.double({ min: -1.5, max: 1.5, noNaN: true });
    const affines = fc.record({ xFromX: part, xFromY: part, x: part, yFromX: part, yFromY: part, y: part });
    fc.assert(
      fc.property(affines, (affine) => {
        const result = warped(affine);
        for (let pixel = 0; pixel < 35; pixel++) {
          const u = (pixel % 7) - 3;
          const v = Math.floor(pixel / 7) - 2;
          const x = Math.max(0, Math.min(6, affine.xFromX * u + affine.xFromY * v + affine.x + 3));
          const y = Math.max(0, Math.min(4, affine.yFromX * u + affine.yFromY * v + affine.y + 2));
          for (let channel = 0; channel < 3; channel++) {
            const at = (column: number, row: number) =>
              image[(Math.min(row, 4) * 7 + Math.min(column, 6)) * 3 + channel]!;
            const [left, top] = [Math.floor(x), Math.floor(y)];
            const upper = at(left, top) + (at(left + 1, top) - at(left, top)) * (x - left);
            const lower = at(left, top + 1) + (at(left + 1, top + 1) - at(left, top + 1)) * (x - left);
            const expected = upper + (lower - upper) * (y - top);
            // Weights are cut to 1/256: at most 255/256 of one level for each of the two directions, and the rounding.
            expect(Math.abs(result[pixel * 3 + channel]! - expected)).toBeLessThan(2.6);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("changeColors", () => {
  const none = { brightness: 1, contrast: 1, saturation: 1 };
  function changed(values: readonly number[], change: Partial<typeof none>): number[] {
    const pixels = Uint8Array.from(values);
    changeColors(pixels, { ...none, ...change });
    return [...pixels];
  }

  it("factors of 1 leave all as it is", () => {
    const pixels = Uint8Array.from(image);
    changeColors(pixels, none);
    expect(pixels).toEqual(image);
  });

  it("brightness multiplies, and stays within 0 … 255", () => {
    expect(changed([0, 100, 200], { brightness: 1.5 })).toEqual([0, 150, 255]);
  });

  it("saturation 0 leaves each pixel's gray", () => {
    // 0.299·200 + 0.587·100 + 0.114·50 = 124.2; 0.299·10 + 0.587·20 + 0.114·30 = 18.15
    expect(changed([200, 100, 50, 10, 20, 30], { saturation: 0 })).toEqual([124, 124, 124, 18, 18, 18]);
  });

  it("saturation 2 doubles the distance from it", () => {
    expect(changed([200, 100, 50], { saturation: 2 })).toEqual([255, 76, 0]); // 275.8, 75.8, −24.2
  });

  it("contrast 0 leaves the mean gray of the whole image", () => {
    expect(changed([200, 100, 50, 10, 20, 30], { contrast: 0 })).toEqual(new Array(6).fill(71)); // (124.2 + 18.15) / 2
  });

  it("contrast ½ halves the distance from it", () => {
    expect(changed([200, 200, 200, 100, 100, 100], { contrast: 0.5 })).toEqual([175, 175, 175, 125, 125, 125]);
  });

  it("does all three together: saturation, then contrast, then brightness", () => {
    // Gray 124.2 and mean 71.175; red of the first: 124.2 + 75.8·0.5 = 162.1 → 71.175 + 90.925·0.8 = 143.915 → ·1.1 = 158.3
    // green: 112.1 → 103.915 → 114.3; blue: 87.1 → 83.915 → 92.3; the second: 14.075 → 25.755 → 28.3, and so on.
    const change = { saturation: 0.5, contrast: 0.8, brightness: 1.1 };
    expect(changed([200, 100, 50, 10, 20, 30], change)).toEqual([158, 114, 92, 28, 32, 37]);
  });
});

describe("an image change", () => {
  it("with everything off is the identity, whatever is drawn", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        expect(augmented({}, mulberry32(seed))).toEqual(image);
      }),
    );
  });

  it("mirrors every second image", () => {
    const mirrored = rearranged((x, y) => [6 - x, y]);
    const random = mulberry32(1);
    let count = 0;
    for (let draw = 0; draw < 400; draw++) {
      const result = augmented({ horizontalFlip: true }, random);
      const isMirrored = result.every((value, at) => value === mirrored[at]);
      if (!isMirrored) expect(result).toEqual(image);
      count += isMirrored ? 1 : 0;
    }
    expect(count).toBeGreaterThan(160);
    expect(count).toBeLessThan(240);
  });

  it("shifts to the right and down by up to the share", () => {
    // All draws 0.9999…: the upper end, 2 of 7 columns and 10/7 of 5 rows.
    const nearlyOne = always(1 - 2 ** -32);
    expect(augmented({ shift: 2 / 7 }, nearlyOne)).toEqual(warped({ x: -2, y: -10 / 7 }));
    expect(augmented({ shift: 2 / 7 }, always(0.5))).toEqual(image);
  });

  it("a scale above 1 enlarges", () => {
    expect(augmented({ scale: 0.5 }, always(0))).toEqual(warped({ xFromX: 2, yFromY: 2 }));
  });

  it("crops a window of the area drawn, inside the image", () => {
    // All draws 0: area ½, shared out 1:3, the window at the top left.
    const width = 0.5 ** 0.25;
    const height = 0.5 ** 0.75;
    const affine = { xFromX: width, yFromY: height, x: -0.5 * (1 - width) * 7, y: -0.5 * (1 - height) * 5 };
    expect(augmented({ crop: 0.5 }, always(0))).toEqual(warped(affine));
  });

  it("rotates by the degrees drawn", () => {
    const cos = Math.cos(Math.PI / 6);
    const affine = { xFromX: cos, xFromY: -0.5, yFromX: 0.5, yFromY: cos };
    expect(augmented({ rotationDegrees: 30 }, always(0))).toEqual(warped(affine));
  });

  it("colors change by the factors drawn", () => {
    const expected = Uint8Array.from(image);
    changeColors(expected, { brightness: 0.8, contrast: 0.7, saturation: 0.6 });
    expect(augmented({ brightness: 0.2, contrast: 0.3, saturation: 0.4 }, always(0))).toEqual(expected);
  });

  it("is the same for the same seed, and takes as many numbers whatever is on", () => {
    const [a, b] = [mulberry32(5), mulberry32(5)];
    expect(augmented(defaultAugmentation, a)).toEqual(augmented(defaultAugmentation, b));
    expect(augmented(defaultAugmentation, mulberry32(6))).not.toEqual(augmented(defaultAugmentation, mulberry32(5)));
    augmented(defaultAugmentation, a);
    augmented({}, b);
    expect(a()).toBe(b());
  });

  it("leaves the source alone", () => {
    const before = Uint8Array.from(image);
    augmented(defaultAugmentation, mulberry32(1));
    expect(image).toEqual(before);
  });
});

describe("an image change", () => {
  it("takes a window of the area and ratio drawn, in place of the crop", () => {
    // All draws 0: area 1/4, ratio 1/2, which 1/4 … 4 allows: width √(1/8), height √(1/2), at the top left.
    const [width, height] = [Math.sqrt(1 / 8), Math.sqrt(1 / 2)];
    const affine = { xFromX: width, yFromY: height, x: -0.5 * (1 - width) * 7, y: -0.5 * (1 - height) * 5 };
    const resizedCrop = { area: [0.25, 1], ratio: [0.5, 2] } as const;
    expect(augmented({ resizedCrop, crop: 0.5 }, always(0))).toEqual(warped(affine));
  });

  it("turns hues by the share drawn", () => {
    // Draws of 0 are the lower end: −1/3 of the circle makes red blue, green red and blue green.
    const target = new Uint8Array(9);
    const colors = Uint8Array.of(200, 10, 10, 0, 255, 0, 30, 30, 90);
    const change = drawImageChange({ ...noAugmentation, hue: 1 / 3 }, always(0));
    applyImageChange(target, colors, { width: 3, height: 1 }, change);
    expect([...target]).toEqual([10, 10, 200, 255, 0, 0, 30, 90, 30]);
  });

  it("has all its parts, RandAugment's operations last", () => {
    const change = drawImageChange(
      { ...augmentations.strong, randAugment: { operations: 2, magnitude: 5 }, erasing: everyTime("gray") },
      mulberry32(3),
    );
    const expected = new Uint8Array(image.length);
    applyImageChange(expected, image, size, { ...change, operations: [], erased: undefined });
    for (const operation of change.operations) applyOperation(expected, operation, size);
    erase(expected, size, change.erased!);
    const target = new Uint8Array(image.length);
    applyImageChange(target, image, size, change);
    expect(target).toEqual(expected);
  });

  it("stays the same when others of its parts are switched on", () => {
    const without = drawImageChange(defaultAugmentation, mulberry32(9));
    const randAugment = { operations: 3, magnitude: 9 };
    const erasing = everyTime("noise");
    const withAll = drawImageChange({ ...defaultAugmentation, hue: 0.1, randAugment, erasing }, mulberry32(9));
    expect(withAll).toMatchObject({ move: without.move, colors: without.colors });
    const withErasing = drawImageChange({ ...defaultAugmentation, erasing }, mulberry32(9));
    expect(withErasing.erased).toEqual(withAll.erased);
  });
});

describe("windows", () => {
  it("have areas and ratios of their ranges and lie inside the image", () => {
    const ranges = fc.record({
      area: fc.tuple(fc.double({ min: 0.02, max: 0.5, noNaN: true }), fc.double({ min: 0.5, max: 1, noNaN: true })),
      ratio: fc.tuple(fc.double({ min: 0.2, max: 1, noNaN: true }), fc.double({ min: 1, max: 5, noNaN: true })),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(ranges, ({ area, ratio, seed }) => {
        const { x, y, width, height } = drawWindow({ area, ratio }, mulberry32(seed));
        expect(width * height).toBeGreaterThan(area[0] - 1e-9);
        expect(width * height).toBeLessThan(area[1] + 1e-9);
        expect(width / height).toBeGreaterThan(ratio[0] - 1e-9);
        expect(width / height).toBeLessThan(ratio[1] + 1e-9);
        expect(Math.min(x, y)).toBeGreaterThanOrEqual(0);
        expect(Math.max(x + width, y + height)).toBeLessThan(1 + 1e-9);
      }),
    );
  });

  it("have their ratios evenly on a logarithmic scale", () => {
    const random = mulberry32(5);
    const sizes = { area: [0.1, 0.1], ratio: [1 / 4, 4] } as const;
    const wide = Array.from({ length: 4000 }, () => drawWindow(sizes, random)).filter(
      ({ width, height }) => width / height > 2,
    );
    expect(wide.length / 4000).toBeCloseTo(1 / 4, 1); // log 2 … log 4 is a quarter of log ¼ … log 4
  });
});

describe("RandAugment", () => {
  it("draws all fourteen operations about equally often, with arguments of the magnitude", () => {
    const drawn = drawOperations({ operations: 14_000, magnitude: 5 }, mulberry32(1));
    const names = new Set(drawn.map(({ name }) => name));
    expect(names.size).toBe(14);
    for (const name of names) {
      expect(Math.abs(drawn.filter((operation) => operation.name === name).length - 1000), name).toBeLessThan(120);
    }
    const argumentsOf = (name: OperationName) =>
      [...new Set(drawn.filter((operation) => operation.name === name).map(({ argument }) => argument))].sort();
    expect(argumentsOf("rotate")).toEqual([-15, 15]); // half of 30°
    expect(argumentsOf("shear-x")).toEqual([-0.15, 0.15]);
    expect(argumentsOf("translate-y")).toEqual([-75 / 331, 75 / 331]);
    expect(argumentsOf("contrast")).toEqual([0.55, 1.45]);
    expect(argumentsOf("posterize")).toEqual([6]); // of 8 bits, halfway to 4
    expect(argumentsOf("solarize")).toEqual([128]);
    expect(argumentsOf("identity")).toEqual([0]);
  });

  it("of magnitude 0 leaves out all but what has no magnitude", () => {
    const operations = drawOperations({ operations: 200, magnitude: 0 }, mulberry32(2));
    for (const operation of operations) {
      if (operation.name === "equalize" || operation.name === "auto-contrast") continue;
      const pixels = image.slice();
      applyOperation(pixels, operation, size);
      expect(pixels, operation.name).toEqual(image);
    }
  });
});

describe("random erasing", () => {
  const whole = { x: 0, y: 0, width: 1, height: 1, seed: 7 };

  it("paints a window over, and nothing else", () => {
    const pixels = image.slice();
    erase(pixels, size, { ...whole, x: 2 / 7, y: 0.4, width: 3 / 7, height: 0.4, fill: "gray" });
    const inside = (at: number) => {
      const [x, y] = [Math.floor(at / 3) % 7, Math.floor(at / 21)];
      return x >= 2 && x < 5 && y >= 2 && y < 4;
    };
    expect(pixels).toEqual(image.map((value, at) => (inside(at) ? 128 : value)));
  });

  it("fills with one color or with one for each pixel, the same for the same seed", () => {
    const filled = (fill: ErasingFill, seed = 7) => {
      const pixels = image.slice();
      erase(pixels, size, { ...whole, fill, seed });
      return pixels;
    };
    expect(filled("color")).toEqual(image.map((_, at) => filled("color")[at % 3]!));
    expect(filled("noise")).toEqual(filled("noise"));
    expect(filled("noise")).not.toEqual(filled("noise", 8));
    expect(new Set(filled("noise")).size).toBeGreaterThan(60);
  });

  it("happens as often as it should", () => {
    const random = mulberry32(4);
    const erasing = { ...everyTime("noise"), probability: 0.25 };
    const erased = Array.from({ length: 4000 }, () => drawErasing(erasing, random)).filter(Boolean);
    expect(erased.length / 4000).toBeCloseTo(0.25, 1);
  });
});

function everyTime(fill: ErasingFill): Erasing {
  return { ...erasingDefaults, probability: 1, fill };
}
