import type { OpOf } from "../../src/graph/ops.ts";
import { at, fill, indicesOf, type NdArray } from "./nd-array.ts";

export function batchNormalization(
  { epsilon }: OpOf<"batchNormalization">,
  [x, gamma, beta, mean, variance]: readonly NdArray[],
): NdArray[] {
  const y = fill(x!.shape, (index) => {
    const channel = index[1]!;
    const normalized = (at(x!, index) - mean!.data[channel]!) / Math.sqrt(variance!.data[channel]! + epsilon);
    return gamma!.data[channel]! * normalized + beta!.data[channel]!;
  });
  return [y];
}

export function batchNormalizationTraining(
  { epsilon }: OpOf<"batchNormalizationTraining">,
  [x, gamma, beta]: readonly NdArray[],
): NdArray[] {
  const mean = channelMeans(x!.shape, (index) => at(x!, index));
  const variance = channelMeans(x!.shape, (index) => (at(x!, index) - mean.data[index[1]!]!) ** 2);
  const [y] = batchNormalization({ kind: "batchNormalization", epsilon }, [x!, gamma!, beta!, mean, variance]);
  return [y!, mean, variance];
}

/**
 * With x̂ = (x − mean)/σ over the m values of a channel, ∂x̂ⱼ/∂xᵢ = (δᵢⱼ − 1/m − x̂ᵢ·x̂ⱼ/m)/σ; summed over j with dyⱼ·gamma
 * this is dx.
 */
export function batchNormalizationGradient(
  { epsilon }: OpOf<"batchNormalizationGradient">,
  [dy, x, gamma, mean, variance]: readonly NdArray[],
): NdArray[] {
  const sigma = variance!.data.map((each) => Math.sqrt(each + epsilon));
  const normalized = fill(x!.shape, (index) => (at(x!, index) - mean!.data[index[1]!]!) / sigma[index[1]!]!);
  const meanOfDy = channelMeans(x!.shape, (index) => at(dy!, index));
  const meanOfProduct = channelMeans(x!.shape, (index) => at(dy!, index) * at(normalized, index));

  const dx = fill(x!.shape, (index) => {
    const channel = index[1]!;
    const rest = at(dy!, index) - meanOfDy.data[channel]! - at(normalized, index) * meanOfProduct.data[channel]!;
    return (gamma!.data[channel]! / sigma[channel]!) * rest;
  });
  const count = x!.data.length / x!.shape[1]!;
  const scaled = ({ shape, data }: NdArray) => ({ shape, data: data.map((value) => value * count) });
  return [dx, scaled(meanOfProduct), scaled(meanOfDy)];
}

/** ∂y/∂gamma = (x − mean)/σ and ∂y/∂beta = 1 at each element, times dy, summed over each channel. */
export function batchNormalizationAffineGradient(
  { epsilon }: OpOf<"batchNormalizationAffineGradient">,
  [dy, x, mean, variance]: readonly NdArray[],
): NdArray[] {
  const dgamma = new Float64Array(mean!.data.length);
  const dbeta = new Float64Array(mean!.data.length);
  for (const index of indicesOf(x!.shape)) {
    const channel = index[1]!;
    const normalized = (at(x!, index) - mean!.data[channel]!) / Math.sqrt(variance!.data[channel]! + epsilon);
    dgamma[channel]! += at(dy!, index) * normalized;
    dbeta[channel]! += at(dy!, index);
  }
  return [dgamma, dbeta].map((data) => ({ shape: mean!.shape, data }));
}

export function channelMoments(_: OpOf<"channelMoments">, [x]: readonly NdArray[]): NdArray[] {
  return [channelMeans(x!.shape, (index) => at(x!, index)), channelMeans(x!.shape, (index) => at(x!, index) ** 2)];
}

export function scaledSum(_: OpOf<"scaledSum">, [x, y, ...vectors]: readonly NdArray[]): NdArray[] {
  return [
    fill(x!.shape, (index) => {
      const [scale, shift, factor] = vectors.map(({ data }) => data[index[1]!]!) as [number, number, number];
      return factor * (scale * at(x!, index) + shift + at(y!, index));
    }),
  ];
}

/** Mean per channel (axis 1) of a quantity given at each index. */
function channelMeans(shape: readonly number[], valueAt: (index: readonly number[]) => number): NdArray {
  const channels = shape[1]!;
  const sums = new Float64Array(channels);
  const indices = indicesOf(shape);
  for (const index of indices) sums[index[1]!]! += valueAt(index);
  return { shape: [channels], data: sums.map((sum) => sum / (indices.length / channels)) };
}
