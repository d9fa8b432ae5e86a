import { drawNormal, type Random } from "../tensor/random.ts";
import { type CropWindow, pixelEdges, type Size } from "./geometry.ts";

/**
 * Training on mixtures of two images: mixup and CutMix, with targets mixed in the same shares.
 *
 * An image always keeps the larger share of its mixture, so that its label stays the top-1 target and training accuracy keeps its
 * meaning; mixtures in which it has the smaller share are those of its partner.
 */
export interface Mixing {
  /**
   * α of the Beta distribution that the shares of two blended images come from, e.g. 0.2; 0 (default): no mixup.
   * @see https://arxiv.org/abs/1710.09412
   */
  readonly mixup?: number;
  /**
   * α of the Beta distribution that the area of a pasted rectangle comes from, e.g. 1; 0 (default): no CutMix.
   * @see https://arxiv.org/abs/1905.04899
   */
  readonly cutMix?: number;
  /** Share of the images that are mixed at all, 0 to 1; default 1. */
  readonly probability?: number;
  /** Share of CutMix among the mixtures if both are on, 0 to 1; default 0.5. */
  readonly cutMixShare?: number;
}

/** Mixture of one image with its partner. */
export interface Mixture {
  /** The image's own share, ½ to 1; the partner has the rest. */
  readonly share: number;
  /** CutMix: the rectangle that comes from the partner. Mixup has none: all pixels are blended. */
  readonly window?: CropWindow;
}

/** Rows of a batch. */
export interface MixableRows {
  /** `[N, height, width, 3]`. */
  readonly pixels: Uint8Array;
  /** `[N, classes]`. */
  readonly targets: Float32Array;
  /** `[N]`; without it all count the same. */
  readonly weights?: Float32Array | undefined;
}

/** Draws whether and how an image is mixed. */
export function drawMixture(mixing: Mixing, size: Size, random: Random): Mixture | undefined {
  const { mixup = 0, cutMix = 0, probability = 1, cutMixShare = 0.5 } = mixing;
  if ((mixup === 0 && cutMix === 0) || random() >= probability) return undefined;
  const isCutMix = mixup === 0 || (random() < cutMixShare && cutMix > 0);
  const drawn = drawBeta(isCutMix ? cutMix : mixup, random);
  const share = Math.max(drawn, 1 - drawn);
  return isCutMix ? cutMixture(1 - share, size, random) : { share };
}

/**
 * Mixes each row with the next one, and the last with the first, in place.
 *
 * A mixture weighs as much as its parts do in their shares, and its targets are mixed by share and weight: with a loss that
 * is linear in the targets, it adds to the loss what both labels add with their own weights.
 * @param mixtures one for each row; undefined leaves the row alone.
 */
export function mixRows(rows: MixableRows, mixtures: readonly (Mixture | undefined)[], size: Size): void {
  const count = mixtures.length;
  const pixelsOf = rowsOf(rows.pixels, count);
  const targetsOf = rowsOf(rows.targets, count);
  // The first row is the last one's partner, but is itself mixed before.
  const first = {
    pixels: pixelsOf(0).slice(),
    targets: targetsOf(0).slice(),
    weight: rows.weights?.[0] ?? 1,
  };
  for (const [row, mixture] of mixtures.entries()) {
    if (mixture === undefined) continue;
    const next = row + 1;
    const partner =
      next === count ? first : { pixels: pixelsOf(next), targets: targetsOf(next), weight: rows.weights?.[next] ?? 1 };
    if (mixture.window) paste(pixelsOf(row), partner.pixels, size, mixture.window);
    else blend(pixelsOf(row), partner.pixels, mixture.share);
    const own = (rows.weights?.[row] ?? 1) * mixture.share;
    const others = partner.weight * (1 - mixture.share);
    const weight = own + others;
    if (rows.weights) rows.weights[row] = weight;
    // Images that count for nothing make a mixture that counts for nothing, whatever its targets.
    if (weight > 0) blend(targetsOf(row), partner.targets, own / weight);
  }
}

/** The sides are rounded down to whole pixels, so that the partner never has more than its area. */
function cutMixture(area: number, { width, height }: Size, random: Random): Mixture {
  const span = (length: number) => {
    const pixels = Math.floor(Math.sqrt(area) * length);
    // The center lies anywhere in the image; what would lie outside is cut off.
    const start = Math.round(random() * length - pixels / 2);
    const end = Math.min(length, start + pixels);
    return { start: Math.max(0, start) / length, share: (end - Math.max(0, start)) / length };
  };
  const [across, down] = [span(width), span(height)];
  const window = { x: across.start, y: down.start, width: across.share, height: down.share };
  return { share: 1 - across.share * down.share, window };
}

function rowsOf<T extends Uint8Array | Float32Array>(data: T, count: number): (row: number) => T {
  const length = data.length / count;
  return (row) => data.subarray(row * length, (row + 1) * length) as T;
}

function blend(own: Uint8Array | Float32Array, other: Uint8Array | Float32Array, share: number): void {
  // Bytes are cut off, not rounded, when written: half a level more rounds them.
  const half = own instanceof Uint8Array ? 0.5 : 0;
  for (let at = 0; at < own.length; at++) own[at] = other[at]! + (own[at]! - other[at]!) * share + half;
}

function paste(own: Uint8Array, other: Uint8Array, size: Size, window: CropWindow): void {
  const { left, top, right, bottom } = pixelEdges(window, size);
  for (let y = top; y < bottom; y++) {
    const from = (y * size.width + left) * 3;
    const to = (y * size.width + right) * 3;
    own.set(other.subarray(from, to), from);
  }
}

/**
 * A number of 0 … 1 from the Beta distribution with both parameters `alpha`, above 0: near 0 or 1 for a small `alpha`, evenly
 * distributed for 1, near ½ for a large one.
 *
 * It is X / (X + Y) for two numbers of a gamma distribution; their logarithms are drawn, since for a small `alpha` the
 * numbers themselves mostly underflow to 0.
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
