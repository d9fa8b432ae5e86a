import type { FloatTensor } from "../tensor/tensor.ts";

/** Share of the covariance that is replaced by that of independent features of equal variance. */
const shrinkage = 0.6;

/**
 * Classifies each vector by the others: linear discriminant analysis, cross-validated, its logits divided by the temperature
 * of least loss. Returns probabilities `[N, classes]`, in rows.
 * @param features `[N, D]`.
 * @param labels `[N]`.
 * @param folds `[N]`, the part with which each vector is left out, from 0.
 * @see https://doi.org/10.1111/j.1469-1809.1936.tb02137.x
 */
export function crossValidatedProbabilities(
  features: FloatTensor,
  labels: readonly number[],
  classes: number,
  folds: readonly number[],
): Float64Array[] {
  const rows = centered(features);
  const groups = new Map<number, number[]>();
  for (const [index, fold] of folds.entries()) groups.set(fold, [...(groups.get(fold) ?? []), index]);
  const scatters = new Map([...groups].map(([fold, members]) => [fold, scatterOf(rows, members)]));
  const whole = new Float64Array(rows[0]!.length ** 2);
  for (const scatter of scatters.values()) for (const [at, value] of scatter.entries()) whole[at]! += value;

  const logits: Float64Array[] = new Array(rows.length);
  for (const [fold, members] of groups) {
    const others = [...rows.keys()].filter((index) => folds[index] !== fold);
    const left = scatters.get(fold)!;
    const discriminants = discriminantsOf(
      rows,
      labels,
      classes,
      others,
      whole.map((value, at) => value - left[at]!),
    );
    for (const index of members)
      logits[index] = Float64Array.from(discriminants, (each) => scoreOf(each, rows[index]!));
  }
  const temperature = temperatureOf(logits, labels);
  return logits.map((each) => softmax(each, temperature));
}

/** A class's direction and offset; undefined for a class without vectors. */
type Discriminant = { readonly direction: Float64Array; readonly offset: number } | undefined;

function scoreOf(discriminant: Discriminant, row: Float64Array): number {
  if (discriminant === undefined) return Number.NEGATIVE_INFINITY;
  return dot(discriminant.direction, row) + discriminant.offset;
}

function centered({ shape, data }: FloatTensor): Float64Array[] {
  const [count, size] = shape as [number, number];
  const mean = new Float64Array(size);
  for (const [at, value] of data.entries()) mean[at % size]! += value / count;
  return Array.from({ length: count }, (_, row) =>
    Float64Array.from({ length: size }, (__, at) => data[row * size + at]! - mean[at]!),
  );
}

/** Σ x·xᵀ, its lower triangle. */
function scatterOf(rows: readonly Float64Array[], members: readonly number[]): Float64Array {
  const size = rows[0]!.length;
  const scatter = new Float64Array(size * size);
  for (const member of members) addOuter(scatter, rows[member]!, 1);
  return scatter;
}

function addOuter(scatter: Float64Array, row: Float64Array, factor: number): void {
  const size = row.length;
  for (let i = 0; i < size; i++) {
    const value = factor * row[i]!;
    for (let j = 0, at = i * size; j <= i; j++, at++) scatter[at]! += value * row[j]!;
  }
}

/** @param scatter of the members, the lower triangle; overwritten. */
function discriminantsOf(
  rows: readonly Float64Array[],
  labels: readonly number[],
  classes: number,
  members: readonly number[],
  scatter: Float64Array,
): Discriminant[] {
  const size = rows[0]!.length;
  const means = Array.from({ length: classes }, () => new Float64Array(size));
  const counts = new Array<number>(classes).fill(0);
  for (const member of members) {
    const label = labels[member]!;
    counts[label]!++;
    const mean = means[label]!;
    for (const [at, value] of rows[member]!.entries()) mean[at]! += value;
  }
  for (const [label, mean] of means.entries()) {
    const count = Math.max(1, counts[label]!);
    for (const at of mean.keys()) mean[at]! /= count;
    addOuter(scatter, mean, -counts[label]!);
  }
  let trace = 0;
  for (let at = 0; at < size; at++) trace += scatter[at * size + at]!;
  const variance = Math.max(trace / size / members.length, Number.MIN_VALUE * 2 ** 60);
  for (const at of scatter.keys()) scatter[at]! *= (1 - shrinkage) / members.length;
  for (let at = 0; at < size; at++) scatter[at * size + at]! += shrinkage * variance;
  const root = choleskyOf(scatter, size);
  return means.map((mean, label) => {
    if (counts[label] === 0) return undefined;
    const direction = solve(root, mean);
    return { direction, offset: Math.log(counts[label]! / members.length) - dot(direction, mean) / 2 };
  });
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

/** Solves L·Lᵀ·x = b. */
function solve(root: Float64Array, b: Float64Array): Float64Array {
  const size = b.length;
  const x = b.slice();
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) x[i]! -= root[i * size + k]! * x[k]!;
    x[i]! /= root[i * size + i]!;
  }
  for (let i = size - 1; i >= 0; i--) {
    x[i]! /= root[i * size + i]!;
    for (let k = 0; k < i; k++) x[k]! -= root[i * size + k]! * x[i]!;
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
