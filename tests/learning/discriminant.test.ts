import { expect, test } from "vitest";
import { leaveOneOutProbabilities } from "../../src/learning/discriminant.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

/** Solves A·x = b by Gaussian elimination; A is positive definite. */
function solved(matrix: readonly (readonly number[])[], b: readonly number[]): number[] {
  const rows = matrix.map((row, index) => [...row, b[index]!]);
  for (const [pivot, row] of rows.entries()) {
    for (const [other, changed] of rows.entries()) {
      const factor = changed[pivot]! / row[pivot]!;
      if (other !== pivot) for (const at of row.keys()) changed[at]! -= factor * row[at]!;
    }
  }
  return rows.map((row, index) => row.at(-1)! / row[index]!);
}

test("each vector is classified by a discriminant that was fitted without it", () => {
  const [count, size, classes] = [23, 4, 3];
  const random = mulberry32(7);
  const labels = Array.from({ length: count }, (_, index) => (index >> 1) % classes);
  const features = floatTensor(
    [count, size],
    Float32Array.from({ length: count * size }, (_, at) => {
      return random() + (at % size === labels[Math.floor(at / size)] ? 0.7 : 0);
    }),
  );
  const found = leaveOneOutProbabilities(features, labels, classes);

  const rows = Array.from({ length: count }, (_, row) => [...features.data.subarray(row * size, (row + 1) * size)]);
  const axes = [...Array(size).keys()];
  const meansOf = (members: readonly number[]) =>
    [...Array(classes).keys()].map((label) => {
      const own = members.filter((member) => labels[member] === label);
      return axes.map((axis) => own.reduce((sum, member) => sum + rows[member]![axis]!, 0) / own.length);
    });
  const scatterOf = (members: readonly number[]) => {
    const means = meansOf(members);
    const away = (member: number, axis: number) => rows[member]![axis]! - means[labels[member]!]![axis]!;
    return axes.map((i) =>
      axes.map((j) => members.reduce((sum, member) => sum + away(member, i) * away(member, j), 0)),
    );
  };
  const all = [...rows.keys()];
  const variance = axes.reduce((sum, axis) => sum + scatterOf(all)[axis]![axis]!, 0) / size / count;
  const product = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, at) => sum + value * b[at]!, 0);
  const logits = all.map((left) => {
    const others = all.filter((member) => member !== left);
    const covariance = scatterOf(others).map((line, i) =>
      line.map((value, j) => (0.4 * value) / count + (i === j ? 0.6 * variance : 0)),
    );
    return meansOf(others).map((mean, label) => {
      const prior = others.filter((member) => labels[member] === label).length / others.length;
      const direction = solved(covariance, mean);
      return product(direction, rows[left]!) - product(direction, mean) / 2 + Math.log(prior);
    });
  });
  // Probabilities are the logits but for one temperature.
  const differences = (of: (row: number, label: number) => number) =>
    all.flatMap((row) => [1, 2].map((label) => of(row, label) - of(row, 0)));
  const expected = differences((row, label) => logits[row]![label]!);
  const measured = differences((row, label) => Math.log(found[row]![label]!));
  const temperature = expected[0]! / measured[0]!;
  for (const [index, value] of measured.entries()) expect(value * temperature).toBeCloseTo(expected[index]!, 5);
  for (const row of found) expect(row.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
});

test("a class with a single vector is never the prediction of that vector", () => {
  const features = floatTensor([5, 1], Float32Array.of(0, 0.1, 1, 1.1, 9));
  const [, , , , alone] = leaveOneOutProbabilities(features, [0, 0, 1, 1, 2], 3);
  expect(alone![2]).toBe(0);
});
