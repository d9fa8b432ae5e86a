import type { Constant, Operation, OpGraph, OpOf, Value } from "../graph/ops.ts";

/** A recipe for recomputing a forward value. */
interface Cheap {
  /** Normalizations by the batch become normalizations by its statistics. */
  readonly config: OpOf<"batchNormalization"> | OpOf<"relu"> | OpOf<"elu"> | OpOf<"conv">;
  /** The feature map, which is kept or cheap itself, then small operands. */
  readonly inputs: readonly [Value, ...Value[]];
}

/**
 * Recomputes cheap values of the forward pass (outputs of normalizations, ReLUs and depthwise convolutions) in the backward
 * pass instead of keeping them: one value is kept for each separable convolution with its normalization, not three.
 *
 * The engine would merge equal operators, and might compute the second early. A factor of exactly 1 in a small operand
 * prevents both: it is computed from the incoming gradient, as 1 + 0·(some of its numbers).
 * @param forwardCount number of operations of the forward part, which come first.
 */
export function recompute(graph: OpGraph, forwardCount: number): OpGraph {
  const forward = graph.operations.slice(0, forwardCount);
  const backward = graph.operations.slice(forwardCount);
  const cheap = cheapValues(forward, new Set(backward.flatMap(({ inputs }) => inputs.map(({ name }) => name))));
  const producers = new Map(backward.flatMap((each) => each.outputs.map(({ name }) => [name, each] as const)));
  const copies = new Map<string, Value>();
  const operations = [...forward];

  const write = (config: Operation["config"], inputs: readonly Value[], name: string, shape: Value["shape"]): Value => {
    const output: Value = { name, type: "float32", shape };
    operations.push({ config, inputs, outputs: [output] });
    return output;
  };
  /** The value, delayed until the gradient is there, and different to the engine. */
  const delayed = (value: Value, gradient: Value, name: string): Value => {
    let some = producers.get(gradient.name)!.outputs.find(({ shape }) => shape.length === 1);
    if (!some) {
      const [, ...image] = gradient.shape;
      const first = { kind: "slice", axis: 0, start: 0, end: 1 } as const;
      const one = write(first, [gradient], `${name}/image`, [1, ...image]);
      const mean = { kind: "reduceMean", axes: [2, 3], keepDims: false } as const;
      some = write(mean, [one], `${name}/some`, [1, image[0]!]);
    }
    const all = { kind: "reduceSum", axes: [...some.shape.keys()], keepDims: false } as const;
    const nothing = write({ kind: "multiply" }, [write(all, [some], `${name}/sum`, []), zero], `${name}/zero`, []);
    const factor = write({ kind: "add" }, [nothing, one], `${name}/one`, []);
    return write({ kind: "multiply" }, [value, factor], `${name}/delayed`, value.shape);
  };
  const again = (value: Value, gradient: Value): Value => {
    const way = cheap.get(value.name);
    const known = way ? copies.get(value.name) : value;
    if (known) return known;
    const { config, inputs } = way!;
    const name = `${value.name}/again`;
    const [image, small, ...others] = inputs;
    const source = again(image, gradient);
    const operands = small ? [source === image ? delayed(small, gradient, name) : small, ...others] : [];
    const copy = write(config, [source, ...operands], name, value.shape);
    copies.set(value.name, copy);
    return copy;
  };

  for (const operation of backward) {
    const gradient = operation.inputs.find(({ name, shape }) => producers.has(name) && shape.length === 4);
    const inputs = gradient ? operation.inputs.map((value) => again(value, gradient)) : operation.inputs;
    operations.push({ ...operation, inputs });
  }
  return copies.size === 0 ? graph : { ...graph, operations, constants: [...graph.constants, zero, one] };
}

const zero: Constant = { name: "recompute/zero", type: "float32", shape: [], data: Float32Array.of(0) };
const one: Constant = { name: "recompute/one", type: "float32", shape: [], data: Float32Array.of(1) };

/**
 * Values that can be recomputed from those kept anyway, by name.
 * @param read names of values that the backward part reads: those that are not cheap are kept.
 */
function cheapValues(forward: readonly Operation[], read: ReadonlySet<string>): ReadonlyMap<string, Cheap> {
  const cheap = new Map<string, Cheap>();
  for (const operation of forward) {
    const way = cheapWay(operation);
    if (!way) continue;
    const [image, small] = way.inputs;
    // Only small operands can be delayed.
    if (cheap.has(image.name) || (small && read.has(image.name))) cheap.set(operation.outputs[0]!.name, way);
  }
  return cheap;
}

function cheapWay({ config, inputs, outputs }: Operation): Cheap | undefined {
  const [x, ...rest] = inputs as [Value, ...Value[]];
  if (x.shape.length !== 4) return undefined;
  switch (config.kind) {
    case "relu":
    case "elu":
    case "batchNormalization":
      return { config, inputs: [x, ...rest] };
    case "batchNormalizationTraining": {
      const normalize = { kind: "batchNormalization", epsilon: config.epsilon } as const;
      return { config: normalize, inputs: [x, ...rest, ...outputs.slice(1)] };
    }
    case "conv":
      return config.groups === x.shape[1] && config.groups > 1 ? { config, inputs: [x, ...rest] } : undefined;
    default:
      return undefined;
  }
}
