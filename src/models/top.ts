import { dense, dropout, globalAveragePooling2d, globalMaxPooling2d, type LayerOutput } from "../graph/builder.ts";
import type { ActivationName } from "../graph/layers.ts";

/** What stands on the last feature maps. */
export interface TopOptions {
  readonly includeTop: boolean;
  /** Without the top. */
  readonly pooling: "none" | "avg" | "max";
  readonly classes: number;
  readonly classifierActivation: ActivationName;
  readonly dropout: number;
  /** Sizes of fully connected layers before the classifier. */
  readonly fcUnits: readonly number[];
}

/**
 * Global pooling, the paper's optional fully connected layers, dropout, and the classifier: `[H, W, C] → [classes]`.
 * @param names of the pooling and of the classifier; Keras's automatic ones without.
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
  for (const [index, units] of options.fcUnits.entries()) {
    x = dense(x, { units, activation: "relu", name: `fc${index + 1}` });
  }
  if (options.dropout > 0) x = dropout(x, options.dropout);
  return dense(x, { units: options.classes, activation: options.classifierActivation, name: names.classifier });
}

/** Keras's names of the top of its applications. */
export const kerasTopNames = { pooling: "avg_pool", classifier: "predictions" } as const;
