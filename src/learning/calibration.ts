import type { ReliabilityBin, TemperatureFit } from "../base/records.ts";
import { topIndices } from "./ranking.ts";

/** Number of bins, as in Guo et al. 2017. */
const binCount = 15;

/**
 * Accuracy of predictions by confidence, in 15 bins of equal width.
 * @see https://arxiv.org/abs/1706.04599, section 2
 */
export class ReliabilityTally {
  readonly #bins = Array.from({ length: binCount }, () => ({ images: 0, right: 0, confidence: 0 }));
  #images = 0;

  /** @param confidence probability of the prediction, 0 to 1; bins include their upper edge, not the lower one. */
  add(confidence: number, isRight: boolean): void {
    const index = Math.min(binCount - 1, Math.max(0, Math.ceil(confidence * binCount) - 1));
    const bin = this.#bins[index]!;
    this.#images++;
    bin.images++;
    bin.confidence += confidence;
    if (isRight) bin.right++;
  }

  /** The non-empty bins, least confident first. */
  bins(): readonly ReliabilityBin[] {
    return this.#bins.flatMap(({ images, right, confidence }, index) => {
      if (images === 0) return [];
      const borders = { from: index / binCount, to: (index + 1) / binCount };
      return [{ ...borders, images, confidence: confidence / images, accuracy: right / images }];
    });
  }

  /**
   * Expected calibration error: mean distance between confidence and accuracy, weighted by the predictions in each bin.
   * 0 is perfect, and the result without predictions.
   */
  expectedError(): number {
    const distances = this.bins().map(({ images, confidence, accuracy }) => images * Math.abs(accuracy - confidence));
    return distances.reduce((sum, distance) => sum + distance, 0) / Math.max(1, this.#images);
  }
}

/** Smallest float32 above 0: stands in for a probability of 0. */
const least = 2 ** -149;
/** Limits of the temperature: its optimum is 0 for a network without mistakes, and infinite for one at chance. */
const range = { lowest: 0.01, highest: 100 };

/** The prediction for one evaluated image. */
interface Answer {
  /** Logarithms of the probabilities: the logits up to a constant, to which softmax is invariant. */
  readonly logarithms: Float32Array;
  readonly truth: number;
}

/** Collects the predictions of a softmax network to fit a temperature. Keeps all of them in memory. */
export class TemperatureTally {
  readonly #answers: Answer[] = [];

  /** @param probabilities of one image's classes, summing to 1. */
  add(probabilities: Float32Array, truth: number): void {
    const logarithms = probabilities.map((probability) => Math.log(Math.max(probability, least)));
    this.#answers.push({ logarithms, truth });
  }

  /**
   * Fits the temperature T, from 0.01 to 100, that minimizes the cross-entropy of softmax(logits / T) on the images
   * added, and its effects. The ranking of the classes stays the same.
   * @see https://arxiv.org/abs/1706.04599, section 4.2
   */
  fit(): TemperatureFit {
    const temperature = 1 / bestInverse(this.#answers);
    return { temperature, ...scaled(this.#answers, temperature) };
  }
}

/**
 * Finds the zero of the derivative of the mean cross-entropy; as it is convex in 1/T, bracketed Newton steps converge.
 */
function bestInverse(answers: readonly Answer[]): number {
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

/**
 * First and second derivative of the mean cross-entropy with respect to 1/T: mean − truth and variance of the logits.
 */
function slopes(answers: readonly Answer[], inverse: number): { first: number; second: number } {
  let first = 0;
  let second = 0;
  for (const { logarithms: values, truth } of answers) {
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
  return { first: first / answers.length, second: second / answers.length };
}

function scaled(
  answers: readonly Answer[],
  temperature: number,
): Pick<TemperatureFit, "loss" | "expectedCalibrationError"> {
  const tally = new ReliabilityTally();
  let loss = 0;
  for (const { logarithms: values, truth } of answers) {
    const best = topIndices(values, 1)[0]!;
    const total = values.reduce((sum, value) => sum + Math.exp((value - values[best]!) / temperature), 0);
    loss += Math.log(total) - (values[truth]! - values[best]!) / temperature;
    tally.add(1 / total, best === truth);
  }
  return { loss: loss / answers.length, expectedCalibrationError: tally.expectedError() };
}
