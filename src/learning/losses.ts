import type { OpGraphBuilder } from "../graph/op-builder.ts";
import type { Value } from "../graph/ops.ts";

/** Writes a loss: the mean over the batch, a scalar. */
export type Loss = (build: OpGraphBuilder, logits: Value, targets: Value) => Value;

/**
 * Cross-entropy between the softmax of logits `[N, classes]` and target probabilities `[N, classes]`, computed from the
 * logits so that it neither overflows nor needs a clip: −Σ target·logSoftmax(logits) / N.
 */
export const softmaxCrossEntropy: Loss = (build, logits, targets) => {
  const logProbabilities = build.op({ kind: "logSoftmax" }, [logits]);
  const product = build.op({ kind: "multiply" }, [targets, logProbabilities]);
  const sum = build.op({ kind: "reduceSum", axes: [0, 1], keepDims: false }, [product]);
  return build.op({ kind: "multiply" }, [sum, build.constant(-1 / logits.shape[0]!)], "loss");
};

/**
 * Mean over batch and classes of the cross-entropy between independent sigmoids and targets 0 … 1:
 * softplus(x) − target·x.
 */
export const sigmoidCrossEntropy: Loss = (build, logits, targets) => {
  const product = build.op({ kind: "multiply" }, [targets, logits]);
  const each = build.op({ kind: "subtract" }, [build.op({ kind: "softplus" }, [logits]), product]);
  return build.op({ kind: "reduceMean", axes: [0, 1], keepDims: false }, [each], "loss");
};
