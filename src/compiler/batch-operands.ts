import type { OpConfig, Operation, OpKind, Value } from "../graph/ops.ts";
import { sameShape } from "../tensor/shape.ts";

/**
 * Of operators that work on each image of a batch by itself, or sum over a batch, the number of operands that are
 * batches `[N, C, H, W]`; they come first.
 */
const batchOperands: { readonly [K in OpKind]?: number } = {
  conv: 1,
  convInputGradient: 1,
  convFilterGradient: 2,
  batchNormalization: 1,
  batchNormalizationAffineGradient: 2,
  channelMoments: 1,
  scaledSum: 2,
  maxPool: 1,
  maxPoolGradient: 3,
  relu: 1,
  reluGradient: 2,
  elu: 1,
  eluGradient: 2,
};

/** Those of them that sum up over a batch. */
const summing: ReadonlySet<OpKind> = new Set([
  "convFilterGradient",
  "batchNormalizationAffineGradient",
  "channelMoments",
]);

/** Whether an operator combines values of any kind element by element. */
export function isElementwise({ kind }: OpConfig): boolean {
  return kind === "add" || kind === "subtract" || kind === "multiply";
}

/**
 * What an operator reads or makes that is a batch of feature maps, if it can be computed for some images at a time. Of
 * elementwise operators, what could be one.
 */
export function batchesIn({ config, inputs, outputs }: Operation): readonly Value[] {
  const [y] = outputs as readonly [Value];
  if (isElementwise(config))
    return [...inputs, y].filter(({ shape }) => shape.length === 4 && sameShape(shape, y.shape));
  const count = batchOperands[config.kind];
  if (count === undefined) return [];
  const isSum = summing.has(config.kind);
  return [...inputs.slice(0, count), ...(isSum ? [] : [y])].filter(({ shape }) => shape.length === 4);
}
