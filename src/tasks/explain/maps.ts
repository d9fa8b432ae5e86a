import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";

/** Activations or their gradient for one image, `[1, H, W, C]`. */
type Activations = FloatTensor;

/** Weighted activations `[1, H, W, C]`; their sum over the channels is the map. */
const weightings = {
  // Selvaraju et al. 2017: wₖ = mean of ∂y/∂Aₖ
  "grad-cam": (activations, gradient) => byChannel(activations, channelMeans(gradient)),
  // Draelos and Carin 2020: ∂y/∂A ⊙ A
  "hires-cam": ({ data: a }, { data: g }) => a.map((value, index) => value * g[index]!),
  // Chattopadhay et al. 2018, with y the logit: wₖ = Σ α·relu(g), α = g² / (2g² + g³·Σ Aₖ)
  "grad-cam++": (activations, gradient) => {
    const channels = activations.shape[3]!;
    const sums = channelMeans(activations).map((mean) => (mean * activations.data.length) / channels);
    const weights = new Float32Array(channels);
    for (const [index, g] of gradient.data.entries()) {
      if (g <= 0) continue;
      const channel = index % channels;
      // g² cancels: α = 1 / (2 + g·Σ Aₖ)
      const denominator = 2 + g * sums[channel]!;
      if (denominator !== 0) weights[channel]! += g / denominator;
    }
    return byChannel(activations, weights);
  },
  // Jiang et al. 2021: relu(∂y/∂A) ⊙ A
  "layer-cam": ({ data: a }, { data: g }) => a.map((value, index) => value * Math.max(0, g[index]!)),
} as const satisfies Readonly<Record<string, (activations: Activations, gradient: Activations) => Float32Array>>;

/** Methods that weight the activations of a layer by their gradient. */
export type GradientCam = keyof typeof weightings;
export const gradientCams = Object.keys(weightings) as [GradientCam, ...GradientCam[]];

/**
 * Computes the map of a gradient method, `[H, W]`, from 0.
 * @param eigenSmooth reduces the weighted activations to their first principal component instead of their sum, which
 * suppresses what the channels do not share (Muhammad and Yeasin 2020).
 */
export function gradientCam(
  method: GradientCam,
  activations: Activations,
  gradient: Activations,
  { eigenSmooth = false }: { readonly eigenSmooth?: boolean } = {},
): FloatTensor {
  const weighted = { ...activations, data: weightings[method](activations, gradient) };
  return positivePart(eigenSmooth ? firstComponent(weighted) : channelSums(weighted));
}

/** The values above 0. */
export function positivePart(map: FloatTensor): FloatTensor {
  return { ...map, data: map.data.map((value) => Math.max(0, value)) };
}

/** Sum over the channels: `[1, H, W, C]` → `[H, W]`. */
export function channelSums({ shape, data }: FloatTensor): FloatTensor {
  const [, height, width, channels] = shape as [number, number, number, number];
  const sums = floatTensor([height, width]);
  for (let position = 0; position < sums.data.length; position++) {
    for (let channel = 0; channel < channels; channel++) sums.data[position]! += data[position * channels + channel]!;
  }
  return sums;
}

function channelMeans({ shape, data }: FloatTensor): Float32Array {
  const channels = shape[3]!;
  const means = new Float32Array(channels);
  for (const [index, value] of data.entries()) means[index % channels]! += value;
  return means.map((sum) => (sum * channels) / data.length);
}

function byChannel({ data }: Activations, weights: Float32Array): Float32Array {
  return data.map((value, index) => value * weights[index % weights.length]!);
}

/**
 * Projection of each position `[C]` on the first right singular vector, with the sign of the sum over the channels.
 * Power iteration: the vector converges as (σ₂/σ₁)^(2·rounds).
 */
function firstComponent(weighted: FloatTensor): FloatTensor {
  const { shape, data } = weighted;
  const [, height, width, channels] = shape as [number, number, number, number];
  const means = channelMeans(weighted);
  const centered = data.map((value, index) => value - means[index % channels]!);
  const project = (values: Float32Array, direction: Float64Array) =>
    Float64Array.from({ length: height * width }, (_, position) => {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++) {
        sum += values[position * channels + channel]! * direction[channel]!;
      }
      return sum;
    });
  let direction = new Float64Array(channels).fill(1 / Math.sqrt(channels));
  for (let round = 0; round < 50; round++) {
    const projection = project(centered, direction);
    const next = new Float64Array(channels);
    for (const [index, value] of centered.entries()) {
      next[index % channels]! += value * projection[Math.floor(index / channels)]!;
    }
    const length = Math.hypot(...next);
    if (length === 0) break;
    direction = next.map((value) => value / length);
  }
  const projection = project(data, direction);
  const sums = channelSums(weighted).data;
  const agreement = projection.reduce((sum, value, position) => sum + value * sums[position]!, 0);
  return floatTensor(
    [height, width],
    Float32Array.from(projection, (value) => (agreement < 0 ? -value : value)),
  );
}

/** Resizes a map bilinearly, pixel centers at half integers. */
export function resizeMap({ shape, data }: FloatTensor, [height, width]: readonly [number, number]): FloatTensor {
  const [sourceHeight, sourceWidth] = shape as [number, number];
  const resized = floatTensor([height, width]);
  const columns = Array.from({ length: width }, (_, x) => neighbors(x, width, sourceWidth));
  for (let y = 0; y < height; y++) {
    const [top, bottom, down] = neighbors(y, height, sourceHeight);
    for (const [x, [left, right, along]] of columns.entries()) {
      const at = (row: number, column: number) => data[row * sourceWidth + column]!;
      const above = at(top, left) * (1 - along) + at(top, right) * along;
      const below = at(bottom, left) * (1 - along) + at(bottom, right) * along;
      resized.data[y * width + x] = above * (1 - down) + below * down;
    }
  }
  return resized;
}

/** The two source pixels around a target pixel, and the weight of the second. */
function neighbors(target: number, targets: number, sources: number): readonly [number, number, number] {
  const position = Math.min(sources - 1, Math.max(0, ((target + 0.5) * sources) / targets - 0.5));
  const first = Math.floor(position);
  return [first, Math.min(sources - 1, first + 1), position - first];
}
