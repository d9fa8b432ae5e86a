import {
  activation,
  batchNormalization,
  type ConvOptions,
  conv2d,
  dense,
  dropout,
  globalAveragePooling2d,
  globalMaxPooling2d,
  type LayerOutput,
  separableConv2d,
} from "../graph/builder.ts";
import type { ActivationName } from "../graph/layers.ts";
import { activationOf, type CompleteOptions, type sharedOptions } from "./options.ts";

/** Options of a convolution with batch normalization; it never has a bias, which the normalization would cancel. */
export type ConvBnOptions = Omit<ConvOptions, "useBias" | "name"> & {
  /** Name of the convolution, from which that of the normalization follows; default: Keras's automatic ones. */
  readonly name?: string;
  /** Default 1e-3, as in Keras. */
  readonly batchNormEpsilon?: number | undefined;
};

/** A convolution and its batch normalization, `[H, W, C] → [H', W', filters]`. */
export function convBn(x: LayerOutput, { name, batchNormEpsilon, ...options }: ConvBnOptions): LayerOutput {
  x = conv2d(x, { ...options, useBias: false, name });
  return normalization(x, nameAfter(name), batchNormEpsilon);
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
    /**
     * Segments of channels that the spatial step convolves separately: 1 is an ordinary convolution; default one for each channel
     * (paper, section 1.2).
     */
    readonly segments?: number | undefined;
    /** Default 1e-3, as in Keras. */
    readonly batchNormEpsilon?: number | undefined;
  },
): LayerOutput {
  const { filters, kernelSize = 3, name, intermediateActivation = "linear", segments, batchNormEpsilon } = options;
  if (segments === undefined) {
    x = separableConv2d(x, { filters, kernelSize, padding: "same", useBias: false, intermediateActivation, name });
  } else {
    const spatial = name && `${name}_spatial`;
    const channels = x.shape.at(-1)!;
    x = conv2d(x, { filters: channels, kernelSize, padding: "same", useBias: false, groups: segments, name: spatial });
    if (intermediateActivation !== "linear") x = activation(x, intermediateActivation);
    x = conv2d(x, { filters, kernelSize: 1, useBias: false, name });
  }
  return normalization(x, nameAfter(name), batchNormEpsilon);
}

function normalization(x: LayerOutput, name: string | undefined, epsilon: number | undefined): LayerOutput {
  return batchNormalization(x, { name, ...(epsilon !== undefined && { epsilon }) });
}

function nameAfter(convName: string | undefined): string | undefined {
  return convName === undefined ? undefined : `${convName}_bn`;
}

/** Options of the layers after the last feature maps. */
export interface TopOptions extends Omit<CompleteOptions<typeof sharedOptions>, "inputShape" | "width"> {
  /** Sizes of fully connected layers before the classifier; default none. */
  readonly fcUnits?: readonly number[];
}

/**
 * Global pooling, the paper's optional fully connected layers, dropout, and the classifier: `[H, W, C] → [classes]`.
 * @param names names of the pooling and the classifier; default: Keras's automatic ones.
 */
export function top(
  x: LayerOutput,
  options: TopOptions,
  names: { readonly pooling?: string; readonly classifier?: string } = {},
): LayerOutput {
  if (!options.includeTop) {
    if (options.pooling === "avg") return globalAveragePooling2d(x);
    if (options.pooling === "max") return globalMaxPooling2d(x);
    return x;
  }
  x = globalAveragePooling2d(x, { name: names.pooling });
  for (const [index, units] of (options.fcUnits ?? []).entries()) {
    x = dense(x, { units, activation: "relu", name: `fc${index + 1}` });
  }
  if (options.dropout > 0) x = dropout(x, options.dropout);
  const classifier = { activation: activationOf(options.classifierActivation), name: names.classifier };
  return dense(x, { units: options.classes, ...classifier });
}

/** Layer names of the top in keras.applications. */
export const kerasTopNames = { pooling: "avg_pool", classifier: "predictions" } as const;
