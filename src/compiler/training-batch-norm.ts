import { OpGraphBuilder } from "../graph/op-builder.ts";
import type { Operation, OpGraph, Value } from "../graph/ops.ts";
import { sizeOf } from "../tensor/shape.ts";

/**
 * Pass that splits batch normalization by the batch's own statistics into sums over the batch, arithmetic on vectors, and
 * operators on each image. So a batch can be computed in parts.
 * @param concerns selects normalizations by their input; default: all.
 */
export function separateStatistics(graph: OpGraph, concerns: (x: Value) => boolean = () => true): OpGraph {
  const build = new OpGraphBuilder({ ...graph, operations: [], outputs: new Map() });
  const written = new Map<string, Value>();
  for (const operation of graph.operations) {
    const { config, outputs } = operation;
    const inputs = operation.inputs.map((value) => written.get(value.name) ?? value);
    let values: readonly Value[];
    if (config.kind === "batchNormalizationTraining" && concerns(inputs[0]!)) {
      values = normalize(build, config.epsilon, { ...operation, inputs });
    } else if (config.kind === "batchNormalizationGradient" && concerns(inputs[1]!)) {
      values = normalizationGradient(build, config.epsilon, { ...operation, inputs });
    } else values = build.ops(config, inputs, namesOf(outputs));
    for (const [index, { name }] of outputs.entries()) written.set(name, values[index]!);
  }
  for (const [name, value] of graph.outputs) build.output(name, written.get(value.name) ?? value);
  return build.finish();
}

/** variance = E[x²] − E[x]², clamped at 0 against rounding. */
function normalize(build: OpGraphBuilder, epsilon: number, { inputs, outputs }: Operation): readonly Value[] {
  const [x, gamma, beta] = inputs as [Value, Value, Value];
  const [y, , variance] = outputs as [Value, Value, Value];
  const names = [outputs[1]!.name, `${y.name}/meanSquare`];
  const [mean, meanSquare] = build.ops({ kind: "channelMoments" }, [x], names) as [Value, Value];
  const square = build.op({ kind: "multiply" }, [mean, mean], `${variance.name}/square`);
  const difference = build.op({ kind: "subtract" }, [meanSquare, square], `${variance.name}/difference`);
  const positive = build.op({ kind: "maximum" }, [difference, build.constant(0)], variance.name);
  const normalized = { kind: "batchNormalization", epsilon } as const;
  return [build.op(normalized, [x, gamma, beta, mean, positive], y.name), mean, positive];
}

/**
 * With s = 1/√(variance + ε) and over n values of a channel m = mean(dy) = dbeta/n and q = mean(dy·x̂) = dgamma/n:
 * dx = gamma·s·(dy − m − x̂·q) = gamma·s·(−q·s·x + (q·s·mean − m) + dy).
 */
function normalizationGradient(
  build: OpGraphBuilder,
  epsilon: number,
  { inputs, outputs }: Operation,
): readonly Value[] {
  const [dy, x, gamma, mean, variance] = inputs as [Value, Value, Value, Value, Value];
  const [dx, ...sums] = outputs as [Value, Value, Value];
  const affine = { kind: "batchNormalizationAffineGradient", epsilon } as const;
  const [dgamma, dbeta] = build.ops(affine, [dy, x, mean, variance], namesOf(sums)) as [Value, Value];
  const compute = (hint: string, kind: "add" | "subtract" | "multiply" | "divide", a: Value, b: Value) =>
    build.op({ kind }, [a, b], `${dx.name}/${hint}`);
  const count = build.constant(sizeOf(x.shape) / x.shape[1]!);
  const shifted = compute("shifted", "add", variance, build.constant(epsilon));
  const s = compute("s", "divide", build.constant(1), build.op({ kind: "sqrt" }, [shifted], `${dx.name}/root`));
  const slope = compute("slope", "multiply", compute("q", "divide", dgamma, count), s);
  const scale = compute("scale", "multiply", slope, build.constant(-1));
  const moved = compute("moved", "multiply", slope, mean);
  const shift = compute("shift", "subtract", moved, compute("m", "divide", dbeta, count));
  const factor = compute("factor", "multiply", gamma, s);
  return [build.op({ kind: "scaledSum" }, [x, dy, scale, shift, factor], dx.name), dgamma, dbeta];
}

function namesOf(values: readonly Value[]): readonly string[] {
  return values.map(({ name }) => name);
}

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
