import type { Operation, OpGraph, Value } from "../graph/ops.ts";

/**
 * Pass for devices that lack batch normalization by the batch's own statistics (WebGPU): computes mean and variance, as
 * E[(x − mean)²], with simple operators, and normalizes by them as in inference.
 */
export function splitBatchNorm(graph: OpGraph): OpGraph {
  return { ...graph, operations: graph.operations.flatMap(splitOperation) };
}

function splitOperation(operation: Operation): readonly Operation[] {
  const { config, inputs, outputs } = operation;
  if (config.kind !== "batchNormalizationTraining") return [operation];
  const [x, gamma, beta] = inputs as [Value, Value, Value];
  const [y, mean, variance] = outputs as [Value, Value, Value];
  const inner = (name: string, shape = x.shape): Value => ({ name: `${y.name}/split/${name}`, type: "float32", shape });
  const perChannel = inner("mean", [1, x.shape[1]!, 1, 1]);
  const [centered, squares] = [inner("centered"), inner("squares")];
  const average = { kind: "reduceMean", axes: [0, 2, 3], keepDims: false } as const;
  return [
    { config: average, inputs: [x], outputs: [mean] },
    { config: { kind: "reshape", shape: perChannel.shape }, inputs: [mean], outputs: [perChannel] },
    { config: { kind: "subtract" }, inputs: [x, perChannel], outputs: [centered] },
    { config: { kind: "multiply" }, inputs: [centered, centered], outputs: [squares] },
    { config: average, inputs: [squares], outputs: [variance] },
    {
      config: { kind: "batchNormalization", epsilon: config.epsilon },
      inputs: [x, gamma, beta, mean, variance],
      outputs: [y],
    },
  ];
}
