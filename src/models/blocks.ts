import {
  batchNormalization,
  type ConvOptions,
  conv2d,
  type LayerOutput,
  type Named,
  separableConv2d,
} from "../graph/builder.ts";
import type { ActivationName } from "../graph/layers.ts";

/** What a convolution with batch normalization can be told; it never has a bias, which the normalization would undo. */
export type ConvBnOptions = Omit<ConvOptions, "useBias" | "name"> & {
  /** Names of the two layers; Keras's automatic ones without. */
  readonly name?: string;
  readonly bnName?: string;
};

/** A convolution and its batch normalization, `[H, W, C] → [H', W', filters]`. */
export function convBn(x: LayerOutput, { name, bnName, ...options }: ConvBnOptions): LayerOutput {
  x = conv2d(x, { ...options, useBias: false, name });
  return batchNormalization(x, normalizationName(name, bnName));
}

/** A separable convolution (stride 1, `same`) and its batch normalization, `[H, W, C] → [H, W, filters]`. */
export function sepConvBn(
  x: LayerOutput,
  options: {
    readonly filters: number;
    /** Default 3. */
    readonly kernelSize?: number;
    readonly name?: string;
    readonly intermediateActivation?: ActivationName;
  },
): LayerOutput {
  const { filters, kernelSize = 3, name, intermediateActivation = "linear" } = options;
  x = separableConv2d(x, { filters, kernelSize, padding: "same", useBias: false, intermediateActivation, name });
  return batchNormalization(x, normalizationName(name));
}

function normalizationName(convName?: string, bnName?: string): Named {
  return { name: bnName ?? (convName === undefined ? undefined : `${convName}_bn`) };
}
