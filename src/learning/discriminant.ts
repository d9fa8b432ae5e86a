import type { FloatTensor } from "../tensor/tensor.ts";

/** Share of the covariance that is replaced by that of independent features of equal variance. */
const shrinkage = 0.6;

/**
 * Classifies each vector by all others: linear discriminant analysis with each vector left out, its logits divided by the
 * temperature of least loss. Returns probabilities `[N, classes]`, in rows.
 *
 * In coordinates in which the covariance Σ of all vectors is the identity, leaving one out needs no new factorization: Σ loses
 * γ·d·dᵀ, where d is the vector's distance from the mean of its class, and Sherman and Morrison's formula gives the inverse.
 * @param features `[N, D]`.
 * @param labels `[N]`.
 * @see https://doi.org/10.1111/j.1469-1809.1936.tb02137.x
 */
export function leaveOneOutProbabilities(
  features: FloatTensor,
  labels: readonly number[],
  classes: number,
): Float64Array[] {
  const rows = centered(features);
  const groups = Array.from({ length: classes }, (): number[] => []);
  for (const [index, label] of labels.entries()) groups[label]!.push(index);
  const means = groups.map((members) => meanOf(rows, members));
  const root = choleskyOf(covarianceOf(rows, labels, means), rows[0]!.length);
  const whiteMeans = means.map((mean) => whitened(root, mean));
  const squares = whiteMeans.map((mean) => dot(mean, mean));
  const counts = groups.map(({ length }) => length);
  const logits = rows.map((row, index) => {
    const own = labels[index]!;
    const white = whitened(root, row);
    const distance = white.map((value, at) => value - whiteMeans[own]![at]!);
    // Of the class without the vector; its mean moves by −d / (count − 1).
    const others = counts[own]! - 1;
    const loss = ((1 - shrinkage) / rows.length) * (counts[own]! / Math.max(1, others));
    const [square, along] = [dot(distance, distance), dot(distance, white)];
    const gain = loss / (1 - loss * square);
    return Float64Array.from(whiteMeans, (mean, label) => {
      const count = label === own ? others : counts[label]!;
      if (count === 0) return Number.NEGATIVE_INFINITY;
      const step = label === own ? 1 / others : 0;
      const projected = dot(mean, distance);
      const [meanAlong, meanSquare] = [
        projected - step * square,
        squares[label]! - 2 * step * projected + step ** 2 * square,
      ];
      const product = dot(mean, white) - step * along + gain * meanAlong * along;
      return product - (meanSquare + gain * meanAlong ** 2) / 2 + Math.log(count / (rows.length - 1));
    });
  });
  const temperature = temperatureOf(logits, labels);
  return logits.map((each) => softmax(each, temperature));
}

function centered({ shape, data }: FloatTensor): Float64Array[] {
  const [count, size] = shape as [number, number];
  const mean = new Float64Array(size);
  for (const [at, value] of data.entries()) mean[at % size]! += value / count;
  return Array.from({ length: count }, (_, row) =>
    Float64Array.from({ length: size }, (__, at) => data[row * size + at]! - mean[at]!),
  );
}

function meanOf(rows: readonly Float64Array[], members: readonly number[]): Float64Array {
  const mean = new Float64Array(rows[0]!.length);
  for (const member of members) for (const [at, value] of rows[member]!.entries()) mean[at]! += value / members.length;
  return mean;
}

/** The covariance within classes, shrunk; its lower triangle. */
function covarianceOf(
  rows: readonly Float64Array[],
  labels: readonly number[],
  means: readonly Float64Array[],
): Float64Array {
  const size = rows[0]!.length;
  const covariance = new Float64Array(size * size);
  for (const [index, row] of rows.entries()) {
    const mean = means[labels[index]!]!;
    const distance = row.map((value, at) => value - mean[at]!);
    for (let i = 0; i < size; i++) {
      const value = distance[i]!;
      for (let j = 0, at = i * size; j <= i; j++, at++) covariance[at]! += value * distance[j]!;
    }
  }
  let trace = 0;
  for (let at = 0; at < size; at++) trace += covariance[at * size + at]!;
  const variance = Math.max(trace / size / rows.length, Number.MIN_VALUE * 2 ** 60);
  for (const at of covariance.keys()) covariance[at]! *= (1 - shrinkage) / rows.length;
  for (let at = 0; at < size; at++) covariance[at * size + at]! += shrinkage * variance;
  return covariance;
}

/** Replaces the lower triangle of a positive definite matrix by that of its root L, L·Lᵀ. */
function choleskyOf(matrix: Float64Array, size: number): Float64Array {
  for (let i = 0; i < size; i++) {
    const rowI = matrix.subarray(i * size, i * size + i + 1);
    for (let j = 0; j <= i; j++) {
      const rowJ = matrix.subarray(j * size, j * size + j + 1);
      let sum = rowI[j]!;
      for (let k = 0; k < j; k++) sum -= rowI[k]! * rowJ[k]!;
      rowI[j] = i === j ? Math.sqrt(sum) : sum / rowJ[j]!;
    }
  }
  return matrix;
}

/** Solves L·x = b. */
function whitened(root: Float64Array, b: Float64Array): Float64Array {
  const size = b.length;
  const x = b.slice();
  for (let i = 0; i < size; i++) {
    const row = root.subarray(i * size, i * size + i + 1);
    let value = x[i]!;
    for (let k = 0; k < i; k++) value -= row[k]! * x[k]!;
    x[i] = value / row[i]!;
  }
  return x;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at]! * b[at]!;
  return sum;
}

function softmax(logits: Float64Array, temperature: number): Float64Array {
  const highest = logits.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const powers = logits.map((value) => Math.exp((value - highest) / temperature));
  const sum = powers.reduce((all, value) => all + value, 0);
  return powers.map((value) => value / sum);
}

/** The temperature with the least loss, from 1/8 to 64. */
function temperatureOf(logits: readonly Float64Array[], labels: readonly number[]): number {
  const candidates = Array.from({ length: 55 }, (_, index) => 2 ** (index / 6 - 3));
  const lossOf = (temperature: number) =>
    logits.reduce((sum, each, index) => sum - Math.log(softmax(each, temperature)[labels[index]!]! + 1e-12), 0);
  const losses = candidates.map(lossOf);
  return candidates[losses.indexOf(Math.min(...losses))]!;
}
