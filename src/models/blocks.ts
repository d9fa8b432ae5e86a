import { batchNormalization, type ConvOptions, conv2d, type LayerOutput, separableConv2d } from "../graph/builder.ts";
import type { ActivationName } from "../graph/layers.ts";

/** What a convolution with batch normalization can be told; it never has a bias, which the normalization would undo. */
export type ConvBnOptions = Omit<ConvOptions, "useBias" | "name"> & {
  /** Names of the two layers; Keras's automatic ones without. */
  readonly name?: string;
  readonly bnName?: string;
  /** Default 1e-3, as in Keras. */
  readonly batchNormEpsilon?: number | undefined;
};

/** A convolution and its batch normalization, `[H, W, C] → [H', W', filters]`. */
export function convBn(x: LayerOutput, { name, bnName, batchNormEpsilon, ...options }: ConvBnOptions): LayerOutput {
  x = conv2d(x, { ...options, useBias: false, name });
  return normalization(x, bnName ?? nameAfter(name), batchNormEpsilon);
}

/** A separable convolution (stride 1, `same`) and its batch normalization, `[H, W, C] → [H, W, filters]`. */
export function sepConvBn(
  x: LayerOutput,
  options: {
    readonly filters: number;
    /** Default 3. */
    readonly kernelSize?: number;
    readonly name?: string;
    readonly intermediateActivation?: ActivationName | undefined;
    /** Default 1e-3, as in Keras. */
    readonly batchNormEpsilon?: number | undefined;
  },
): LayerOutput {
  const { filters, kernelSize = 3, name, intermediateActivation = "linear", batchNormEpsilon } = options;
  x = separableConv2d(x, { filters, kernelSize, padding: "same", useBias: false, intermediateActivation, name });
  return normalization(x, nameAfter(name), batchNormEpsilon);
}

function normalization(x: LayerOutput, name: string | undefined, epsilon: number | undefined): LayerOutput {
  return batchNormalization(x, { name, ...(epsilon !== undefined && { epsilon }) });
}

function nameAfter(convName: string | undefined): string | undefined {
  return convName === undefined ? undefined : `${convName}_bn`;
}
