import type { ByteScale } from "../../graph/ops.ts";

/** Integer form of a network: all that a graph needs besides the weights. */
export interface Quantization {
  /**
   * Bits of a weight. With 7, the sum of two products with bytes fits 16 bits: x86 CPUs without VNNI add pairs of products in 16
   * bits and limit the sum.
   */
  readonly weightBits: 7 | 8;
  /** One scale for each kernel, not for each of its filters: for hardware that has no others. Default false. */
  readonly perTensor?: boolean | undefined;
  /** Rounding of activations, by the name of the value in the folded inference graph. */
  readonly activations: ReadonlyMap<string, ByteScale>;
  /** Layers that are computed in float32. */
  readonly floatLayers: readonly string[];
}

/**
 * The rounding of numbers between two limits.
 * @param low, high at least one of them not 0; extended to include 0.
 */
export function byteScaleOf(low: number, high: number): ByteScale {
  const [from, to] = [Math.min(low, 0), Math.max(high, 0)];
  const scale = Math.fround((to - from) / 255);
  return { scale, zeroPoint: Math.round((0 - from) / scale) };
}
