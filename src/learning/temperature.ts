import type { TemperatureFit } from "../records.ts";
import { ReliabilityTally } from "./calibration.ts";
import { topIndices } from "./metrics-ranking.ts";

/** Least float32 above 0: what a probability of 0 stands for. */
const least = 2 ** -149;
/** A network that makes no mistake wants a temperature of 0, one that knows nothing an infinite one. */
const range = { lowest: 0.01, highest: 100 };

/** Answers to tested pictures: as many probabilities as there are classes for each. */
interface Answers {
  readonly logarithms: Float64Array;
  readonly truths: readonly number[];
  readonly classes: number;
}

/** Collects a softmax network's answers, to find the temperature that suits them. It keeps them all. */
export class TemperatureTally {
  readonly #rows: Float64Array[] = [];
  readonly #truths: number[] = [];

  /** @param probabilities of one picture's classes, summing to 1. */
  add(probabilities: Float32Array, truth: number): void {
    // Logits but for a constant, which the softmax does not see.
    this.#rows.push(Float64Array.from(probabilities, (probability) => Math.log(Math.max(probability, least))));
    this.#truths.push(truth);
  }

  /**
   * The temperature T, from 0.01 to 100, for which softmax(logits / T) has the least cross-entropy on the pictures added,
   * and what it changes. The right class stays as likely among the others as it was.
   * @see https://arxiv.org/abs/1706.04599, section 4.2
   */
  fit(): TemperatureFit {
    const classes = this.#rows[0]?.length ?? 0;
    const logarithms = new Float64Array(this.#rows.length * classes);
    for (const [index, row] of this.#rows.entries()) logarithms.set(row, index * classes);
    const answers = { logarithms, truths: this.#truths, classes };
    const temperature = 1 / bestInverse(answers);
    const after = scaled(answers, temperature);
    return { temperature, ...after };
  }
}

/** Where the slope of the mean cross-entropy is 0; it is convex in 1/T, so Newton's method, kept within what is known, finds it. */
function bestInverse(answers: Answers): number {
  let [low, high] = [1 / range.highest, 1 / range.lowest];
  if (slopes(answers, low).first >= 0) return low;
  if (slopes(answers, high).first <= 0) return high;
  let inverse = 1;
  for (let round = 0; round < 100 && high - low > 1e-12 * high; round++) {
    const { first, second } = slopes(answers, inverse);
    if (first === 0) return inverse;
    if (first > 0) high = inverse;
    else low = inverse;
    const next = inverse - first / second;
    const isInside = next > low && next < high;
    if (isInside && Math.abs(next - inverse) <= 1e-12 * inverse) return next;
    inverse = isInside ? next : Math.sqrt(low * high);
  }
  return inverse;
}

/** First and second derivative of the mean cross-entropy with respect to 1/T: of the logits, mean − truth and variance. */
function slopes({ logarithms, truths, classes }: Answers, inverse: number): { first: number; second: number } {
  let first = 0;
  let second = 0;
  for (const [row, truth] of truths.entries()) {
    const values = logarithms.subarray(row * classes, (row + 1) * classes);
    let [total, mean, square] = [0, 0, 0];
    const highest = values.reduce((a, b) => Math.max(a, b));
    for (const value of values) {
      const weight = Math.exp(inverse * (value - highest));
      total += weight;
      mean += weight * value;
      square += weight * value ** 2;
    }
    mean /= total;
    first += mean - values[truth]!;
    second += Math.max(0, square / total - mean ** 2);
  }
  return { first: first / truths.length, second: second / truths.length };
}

function scaled(
  { logarithms, truths, classes }: Answers,
  temperature: number,
): Pick<TemperatureFit, "loss" | "expectedCalibrationError"> {
  const tally = new ReliabilityTally();
  let loss = 0;
  for (const [row, truth] of truths.entries()) {
    const values = logarithms.subarray(row * classes, (row + 1) * classes);
    const best = topIndices(values, 1)[0]!;
    const total = values.reduce((sum, value) => sum + Math.exp((value - values[best]!) / temperature), 0);
    loss += Math.log(total) - (values[truth]! - values[best]!) / temperature;
    tally.add(1 / total, best === truth);
  }
  return { loss: loss / truths.length, expectedCalibrationError: tally.expectedError() };
}
