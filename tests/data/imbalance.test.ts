import { describe, expect, it } from "vitest";
import { countPerClass, type ImageDataset, relabel } from "../../src/data/dataset.ts";
import { oneHot, targetsOf } from "../../src/data/labels.ts";
import { balancedClassWeights, classWeightsOf, weightOf } from "../../src/data/sample-weights.ts";
import { epochOrder } from "../../src/data/sampling.ts";

/** So many samples of each class, one class after the other. */
function imbalanced(...counts: readonly number[]): ImageDataset {
  const samples = counts.flatMap((count, label) =>
    Array.from({ length: count }, (_, number) => ({ image: "", label, name: `${label}/${number}` })),
  );
  return { classes: counts.map((_, label) => `class ${label}`), samples };
}

const labelsOf = ({ samples }: ImageDataset, indices: Uint32Array) =>
  [...indices].map((index) => samples[index]!.label);
const countOf = <T>(values: readonly T[], value: T) => values.filter((other) => other === value).length;

it("weighs classes named like methods of objects 1 unless they are given", () => {
  const dataset = { ...imbalanced(1, 1, 1), classes: ["__proto__", "constructor", "toString"] };
  expect(classWeightsOf({ constructor: 2 } as never, dataset)).toEqual([1, 2, 1]);
});

describe("balanced sampling", () => {
  it("shows every class equally often, in as many samples as there are", () => {
    const dataset = imbalanced(90, 25, 5);
    for (let epoch = 0; epoch < 5; epoch++) {
      const { indices } = epochOrder(dataset, "balanced", 3, epoch);
      const labels = labelsOf(dataset, indices);
      expect([0, 1, 2].map((label) => countOf(labels, label))).toEqual([40, 40, 40]);
    }
  });

  it("shows one more of some classes where it does not come out even, of others in other epochs", () => {
    const dataset = imbalanced(10, 1);
    const counts = Array.from({ length: 20 }, (_, epoch) =>
      countOf(labelsOf(dataset, epochOrder(dataset, "balanced", 0, epoch).indices), 1),
    );
    expect(new Set(counts)).toEqual(new Set([5, 6]));
  });

  it("goes through small classes evenly and counts how often it did", () => {
    const dataset = imbalanced(20, 4);
    const { indices, repeats } = epochOrder(dataset, "balanced", 1, 0);
    for (let member = 20; member < 24; member++) {
      const positions = [...indices.keys()].filter((position) => indices[position] === member);
      expect(positions.map((position) => repeats[position])).toEqual([0, 1, 2]);
    }
    const large = indices.filter((index) => index < 20);
    expect(new Set(large).size).toBe(12);
  });

  it("draws others of large classes in each epoch, the same for the same seed and epoch", () => {
    const dataset = imbalanced(40, 4);
    const drawn = (seed: number, epoch: number) => [...epochOrder(dataset, "balanced", seed, epoch).indices];
    expect(drawn(1, 0)).toEqual(drawn(1, 0));
    expect(new Set(drawn(1, 0))).not.toEqual(new Set(drawn(1, 1)));
    expect(drawn(1, 0)).not.toEqual(drawn(2, 0));
    const seen = new Set(Array.from({ length: 12 }, (_, epoch) => drawn(1, epoch)).flat());
    expect(seen.size).toBe(44);
  });

  it("does not wait for classes without samples, and knows samples of several classes", () => {
    const dataset = imbalanced(6, 0, 2);
    expect(countOf(labelsOf(dataset, epochOrder(dataset, "balanced", 0, 0).indices), 2)).toBe(4);
    const [first, ...others] = imbalanced(3, 1).samples;
    const multi = { classes: ["a", "b", "c"], samples: [{ ...first!, labels: [0, 2] }, ...others] };
    const indices = [...epochOrder(multi, "balanced", 0, 0).indices];
    expect(indices.length).toBe(4);
    expect(indices).toContain(0); // the only one of class c
    expect(indices).toContain(3); // the only one of class b
  });

  it("is off by default: every sample once", () => {
    const { indices, repeats } = epochOrder(imbalanced(9, 2), "shuffled", 5, 1);
    expect([...indices].sort((a, b) => a - b)).toEqual(Array.from({ length: 11 }, (_, index) => index));
    expect([...repeats]).toEqual(new Array(11).fill(0));
  });
});

describe("class weights", () => {
  it("that balance: every class counts the same, a sample 1 on average", () => {
    // 12 samples, 3 classes: 12 / (3·8), 12 / (3·3), 12 / (3·1)
    expect(balancedClassWeights(imbalanced(8, 3, 1))).toEqual([0.5, 12 / 9, 4]);
    expect(balancedClassWeights(imbalanced(4, 0))).toEqual([0.5, 0]);
  });

  it("multiply the sample's own, and are averaged over several classes", () => {
    const sample = { image: "", label: 1, name: "" };
    expect(weightOf(sample, undefined)).toBe(1);
    expect(weightOf({ ...sample, weight: 3 }, undefined)).toBe(3);
    expect(weightOf({ ...sample, weight: 3 }, [5, 0.5])).toBe(1.5);
    expect(weightOf({ ...sample, labels: [0, 1] }, [5, 1])).toBe(3);
    expect(weightOf({ ...sample, labels: [] }, [5, 1])).toBe(1);
  });

  it("are given by name, 1 where they are left out, or balance", () => {
    const dataset = imbalanced(3, 1, 1);
    expect(classWeightsOf({ "class 2": 5, "class 0": 0 }, dataset)).toEqual([0, 1, 5]);
    expect(classWeightsOf("balanced", dataset)).toEqual(balancedClassWeights(dataset));
    expect(() => classWeightsOf({ "class 9": 5 }, dataset)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: class weights: the data set has no such classes; received ["class 9"]; expected class 0, class 1, class 2.]`,
    );
    expect(() => classWeightsOf({ "class 1": Number.NaN }, dataset)).toThrow('the weight of "class 1"');
  });

  it("are refused where they do not fit", () => {
    const dataset = imbalanced(1, 1);
    expect(() => classWeightsOf({ "class 1": -2 }, dataset)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: class weights, the weight of "class 1": this value is not allowed; received -2; expected a number from 0.]`,
    );
    expect(() => classWeightsOf({ "class 0": 0, "class 1": 0 }, dataset)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: class weights: all of them are 0; received [0, 0]; expected a weight above 0.]`,
    );
  });
});

describe("targets", () => {
  it("of several labels are a yes or no for each class, smoothed towards ½", () => {
    const samples = [{ label: 0, labels: [0, 2] }, { label: 1, labels: [] }, { label: 1 }];
    expect(targetsOf(samples, 3).data).toEqual(Float32Array.of(1, 0, 1, 0, 0, 0, 0, 1, 0));
    expect(targetsOf(samples.slice(0, 1), 3, 0.1).data).toEqual(Float32Array.of(0.95, 0.05, 0.95));
    expect(targetsOf(samples.slice(2), 3, 0.3)).toEqual(oneHot([1], 3, 0.3));
  });

  it("refuse labels that are none of the classes", () => {
    expect(() => targetsOf([{ label: 0, labels: [3] }], 3)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: oneHot option label: this value is not allowed; received 3; expected a whole number from 0 to 2.]`,
    );
  });
});

describe("data sets of several labels", () => {
  const dataset: ImageDataset = {
    classes: ["a", "b", "c"],
    samples: [
      { image: "", label: 0, labels: [0, 2], name: "1" },
      { image: "", label: 2, labels: [2], name: "2" },
    ],
  };

  it("count each label, and are relabeled with all of them", () => {
    expect(countPerClass(dataset)).toEqual([1, 0, 2]);
    const { samples } = relabel(dataset, ["c", "b", "a"], "the model");
    expect(samples.map(({ label, labels }) => ({ label, labels }))).toEqual([
      { label: 2, labels: [2, 0] },
      { label: 0, labels: [0] },
    ]);
  });
});
