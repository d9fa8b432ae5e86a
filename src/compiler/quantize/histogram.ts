/** Bins of a histogram, half of them for negative numbers. */
const binCount = 4096;

/** Distribution of the numbers of an activation over many images, in a memory that does not grow with them. */
export class Histogram {
  /** Limits of all numbers; 0 without any. */
  low = 0;
  high = 0;
  /** Zeros are not in the bins: they are rounded exactly. */
  zeros = 0;
  /** Counts from −range to range. */
  counts = new Float64Array(binCount);
  /** A power of two; 0 without any number but 0. */
  range = 0;

  /** Width of a bin. */
  get binWidth(): number {
    return (2 * this.range) / binCount;
  }

  /** Middle of a bin. */
  middleOf(bin: number): number {
    return (bin + 0.5 - binCount / 2) * this.binWidth;
  }

  /**
   * Adds finite numbers.
   * @param extremes with the least and the largest number of all that `values` were drawn from.
   */
  add(values: Float32Array, extremes: Float32Array = values): void {
    let [low, high] = [this.low, this.high];
    for (let index = 0; index < extremes.length; index++) {
      const value = extremes[index]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    [this.low, this.high] = [low, high];
    this.#reach(Math.max(-low, high));
    const perUnit = this.range === 0 ? 0 : binCount / (2 * this.range);
    for (let index = 0; index < values.length; index++) {
      const value = values[index]!;
      if (value === 0) this.zeros++;
      else this.counts[Math.min(Math.floor(value * perUnit) + binCount / 2, binCount - 1)]!++;
    }
  }

  /** Doubles the range, so that pairs of bins become one, until it includes a size. */
  #reach(size: number): void {
    if (size <= this.range) return;
    if (this.range === 0) {
      this.range = 2 ** Math.ceil(Math.log2(size));
      return;
    }
    while (this.range < size) {
      const merged = new Float64Array(binCount);
      for (const [bin, count] of this.counts.entries()) merged[Math.floor(bin / 2) + binCount / 4]! += count;
      this.counts = merged;
      this.range *= 2;
    }
  }
}
