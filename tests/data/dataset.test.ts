import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countPerClass, type ImageDataset, relabel } from "../../src/data/dataset.ts";
import { oneHot } from "../../src/data/labels.ts";
import { type SplitDataset, splitDataset } from "../../src/data/sampling.ts";

/** A data set with so many images of each class. */
function dataset(counts: Readonly<Record<string, number>>): ImageDataset {
  const samples = Object.entries(counts).flatMap(([name, count], label) =>
    Array.from({ length: count }, (_, index) => ({ image: `${name}/${index}`, label, name: `${name}/${index}` })),
  );
  return { classes: Object.keys(counts), samples };
}

describe("countPerClass", () => {
  it("counts, zero included", () => {
    expect(countPerClass(dataset({ a: 2, b: 0, c: 1 }))).toEqual([2, 0, 1]);
  });
});

describe("relabel", () => {
  it("lets labels count in the other order of classes", () => {
    const relabeled = relabel(dataset({ a: 1, b: 2 }), ["b", "a"], "the model");
    expect(relabeled.classes).toEqual(["b", "a"]);
    expect(relabeled.samples.map(({ name, label }) => [name, label])).toEqual([
      ["a/0", 1],
      ["b/0", 0],
      ["b/1", 0],
    ]);
  });

  it("names what one side has and the other has not", () => {
    expect(() => relabel(dataset({ a: 1, x: 1, y: 1 }), ["a", "b"], "the model")).toThrowErrorMatchingInlineSnapshot(
      `[DataError: classes of the data set: they differ from those of the model: the model does not know x, y; the data set lacks b; received ["a", "x", "y"]; expected ["a", "b"].]`,
    );
    expect(() => relabel(dataset({ a: 1 }), ["a", "b"], "the model")).toThrowErrorMatchingInlineSnapshot(
      `[DataError: classes of the data set: they differ from those of the model: the data set lacks b; received ["a"]; expected ["a", "b"].]`,
    );
  });
});

function listed({ training, validation, test }: SplitDataset): readonly ImageDataset[] {
  return [training, validation, test];
}

describe("splitDataset", () => {
  it("holds out the shares of each class", () => {
    const { training, validation, test } = splitDataset(
      dataset({ a: 10, b: 100, c: 3 }),
      { validation: 0.2, test: 0.1 },
      1,
    );
    expect(countPerClass(validation)).toEqual([2, 20, 1]);
    expect(countPerClass(test)).toEqual([1, 10, 1]);
    expect(countPerClass(training)).toEqual([7, 70, 1]);
  });

  it("holds out nothing for a share of 0", () => {
    const { training, validation, test } = splitDataset(dataset({ a: 1, b: 4 }), { validation: 0, test: 0 }, 1);
    expect([training, validation, test].map(countPerClass)).toEqual([
      [1, 4],
      [0, 0],
      [0, 0],
    ]);
  });

  it("parts never overlap, lose nothing, keep the order, and are the same for the same seed", () => {
    const counts = fc.record({ a: fc.integer({ min: 3, max: 20 }), b: fc.integer({ min: 3, max: 20 }) });
    const share = fc.double({ min: 0.01, max: 0.49, noNaN: true });
    fc.assert(
      fc.property(counts, share, share, fc.nat(), (counts, validation, test, seed) => {
        const whole = dataset(counts);
        const parts = splitDataset(whole, { validation, test }, seed);
        const names = listed(parts).flatMap(({ samples }) => samples.map(({ name }) => name));
        expect(names.toSorted()).toEqual(whole.samples.map(({ name }) => name).toSorted());
        for (const part of listed(parts)) {
          expect(part.samples).toEqual(whole.samples.filter((sample) => part.samples.includes(sample)));
          expect(Math.min(...countPerClass(part))).toBeGreaterThan(0);
        }
        expect(splitDataset(whole, { validation, test }, seed)).toEqual(parts);
      }),
    );
  });

  it("keeps equal images in one part, in all classes", () => {
    const whole = dataset({ a: 12, b: 12 });
    // Four copies of each image; the first of both classes are copies of one another, too.
    const contents = whole.samples.map(({ name }, index) =>
      index % 12 < 4 ? "both" : name.slice(0, 2) + (index >> 2),
    );
    for (let seed = 0; seed < 20; seed++) {
      const parts = splitDataset(whole, { validation: 0.3, test: 0.3 }, seed, { contents });
      const keys = listed(parts).map(({ samples }) => [
        ...new Set(samples.map((sample) => contents[whole.samples.indexOf(sample)])),
      ]);
      expect(keys.flat().toSorted()).toEqual([...new Set(contents)].toSorted());
      expect(listed(parts).map(countPerClass)).toEqual([
        [4, 4],
        [4, 4],
        [4, 4],
      ]);
    }
  });

  it("another seed holds out other images", () => {
    const held = (seed: number) =>
      splitDataset(dataset({ a: 50, b: 50 }), { validation: 0.2, test: 0 }, seed).validation.samples;
    expect(held(1)).not.toEqual(held(2));
  });

  it("says what it cannot split", () => {
    const split = (counts: Readonly<Record<string, number>>, validation: number, test: number) => () =>
      splitDataset(dataset(counts), { validation, test }, 0);
    expect(split({ a: 2 }, 1, 0)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: splitDataset option validation: this value is not allowed; received 1; expected a number from 0, below 1.]`,
    );
    expect(split({ a: 9 }, 0.5, 0.5)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: splitDataset option validation: this value is not allowed; received 0.5; expected with the test's less than 1.]`,
    );
    expect(split({ a: 2, b: 1 }, 0.5, 0)).toThrowErrorMatchingInlineSnapshot(
      `[DataError: class "b": there are too few different images to hold one out for validation; received 1; expected at least 2. Add images, or give a folder for validation.]`,
    );
    expect(split({ a: 2, b: 5 }, 0.1, 0.1)).toThrowErrorMatchingInlineSnapshot(
      `[DataError: class "a": there are too few different images to hold one out for validation and one for test; received 2; expected at least 3. Add images, or give a folder for validation and one for test.]`,
    );
  });
});

describe("oneHot", () => {
  it("puts everything on the label", () => {
    const { shape, data } = oneHot([2, 0], 3);
    expect(shape).toEqual([2, 3]);
    expect([...data]).toEqual([0, 0, 1, 1, 0, 0]);
  });

  it("spreads the smoothing over all classes, the label's own too", () => {
    const row = [0.025, 0.025, 0.925, 0.025];
    expect([...oneHot(Int32Array.of(2), 4, 0.1).data]).toEqual(row.map(Math.fround));
  });

  it("says what is not allowed", () => {
    expect(() => oneHot([3], 3)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: oneHot option label: this value is not allowed; received 3; expected a whole number from 0 to 2.]`,
    );
    expect(() => oneHot([0], 3, 1)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: oneHot option smoothing: this value is not allowed; received 1; expected a number from 0, below 1.]`,
    );
  });
});
