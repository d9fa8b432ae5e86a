import type { OpGraphBuilder } from "../graph/op-builder.ts";
import type { Value } from "../graph/ops.ts";

/**
 * Emits a loss, a scalar: the mean over the batch. With `sampleWeights` `[N]` it is Σ weight·loss of the sample / N, as
 * in Keras: divided by the number of samples, not by the sum of their weights.
 */
export type Loss = (build: OpGraphBuilder, logits: Value, targets: Value, sampleWeights?: Value) => Value;

/**
 * Cross-entropy between the softmax of logits `[N, classes]` and target probabilities `[N, classes]`, computed from the
 * logits so that it neither overflows nor needs a clip: −Σ target·logSoftmax(logits) / N.
 */
export const softmaxCrossEntropy: Loss = (build, logits, targets, sampleWeights) => {
  const logProbabilities = build.op({ kind: "logSoftmax" }, [logits]);
  const product = build.op({ kind: "multiply" }, [targets, logProbabilities]);
  const weighted = weigh(build, product, sampleWeights);
  const sum = build.op({ kind: "reduceSum", axes: [0, 1], keepDims: false }, [weighted]);
  return build.op({ kind: "multiply" }, [sum, build.constant(-1 / logits.shape[0]!)], "loss");
};

/**
 * Mean over batch and classes of the cross-entropy between independent sigmoids and targets 0 … 1:
 * softplus(x) − target·x.
 */
export const sigmoidCrossEntropy: Loss = (build, logits, targets, sampleWeights) => {
  const product = build.op({ kind: "multiply" }, [targets, logits]);
  const each = build.op({ kind: "subtract" }, [build.op({ kind: "softplus" }, [logits]), product]);
  const weighted = weigh(build, each, sampleWeights);
  return build.op({ kind: "reduceMean", axes: [0, 1], keepDims: false }, [weighted], "loss");
};

function weigh(build: OpGraphBuilder, losses: Value, sampleWeights: Value | undefined): Value {
  if (!sampleWeights) return losses;
  const column = build.op({ kind: "reshape", shape: [losses.shape[0]!, 1] }, [sampleWeights]);
  return build.op({ kind: "multiply" }, [losses, column]);
}
