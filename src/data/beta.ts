import type { Random } from "../tensor/random.ts";

/**
 * A number of 0 … 1 from the Beta distribution with both parameters `alpha`, above 0: near 0 or 1 for a small `alpha`, evenly
 * distributed for 1, near ½ for a large one.
 *
 * It is X / (X + Y) for two numbers of a gamma distribution; their logarithms are drawn, since for a small `alpha` the numbers
 * themselves are mostly too small to be told from 0.
 */
export function drawBeta(alpha: number, random: Random): number {
  return 1 / (1 + Math.exp(drawLogGamma(alpha, random) - drawLogGamma(alpha, random)));
}

/**
 * Logarithm of a number from the gamma distribution of this shape.
 * @see https://doi.org/10.1145/358407.358414 Marsaglia and Tsang, "A simple method for generating gamma variables"
 */
function drawLogGamma(shape: number, random: Random): number {
  // The method needs a shape of at least 1: draw for one more, then take it back.
  const boost = Math.log(1 - random()) / shape;
  const d = shape + 1 - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const normal = drawNormal(random);
    const v = (1 + c * normal) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - random()) < normal ** 2 / 2 + d - d * v + d * Math.log(v)) return Math.log(d * v) + boost;
  }
}

/** Box and Muller's method; takes two random numbers. */
function drawNormal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}
