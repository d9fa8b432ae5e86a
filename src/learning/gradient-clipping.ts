import { UsageError } from "../base/errors.ts";
import { assertOption, number } from "../base/kinds.ts";
import type { OpGraphBuilder } from "../graph/op-builder.ts";
import type { Value } from "../graph/ops.ts";
import { sizeOf } from "../tensor/shape.ts";

/** Gradient clipping before the optimizer; one of the two limits. */
export interface GradientClip {
  /** Largest global norm: larger gradients are all scaled down by one factor. @see Keras, `global_clipnorm` */
  readonly norm?: number;
  /** Clips each element to −value … value. @see Keras, `clipvalue` */
  readonly value?: number;
}

/** @throws {UsageError} a limit is not positive, or both are given. */
function checkGradientClip(clip: GradientClip): void {
  for (const key of ["norm", "value"] as const) {
    if (clip[key] !== undefined) assertOption(`gradient clipping by ${key}`, clip[key], number({ above: 0 }));
  }
  if (clip.norm === undefined || clip.value === undefined) return;
  throw new UsageError({
    where: "gradient clipping",
    what: "norm and value cannot both be limited",
    received: clip,
    remedy: "Choose one of them.",
  });
}

/** Emits the clipping of all gradients of a step. @param norm emits their global norm. */
export function clipGradients(
  build: OpGraphBuilder,
  gradients: ReadonlyMap<string, Value>,
  clip: GradientClip,
  norm: () => Value,
): ReadonlyMap<string, Value> {
  checkGradientClip(clip);
  const each = (change: (gradient: Value) => Value) =>
    new Map([...gradients].map(([name, gradient]) => [name, change(gradient)]));
  if (clip.norm !== undefined) {
    // A norm of 0 gives infinity, and min(infinity, 1) is 1.
    const ratio = build.op({ kind: "divide" }, [build.constant(clip.norm), norm()]);
    const factor = build.op({ kind: "minimum" }, [ratio, build.constant(1)], "clip_factor");
    return each((gradient) => build.op({ kind: "multiply" }, [gradient, factor]));
  }
  if (clip.value !== undefined) {
    const [lowest, highest] = [build.constant(-clip.value), build.constant(clip.value)];
    return each((gradient) =>
      build.op({ kind: "maximum" }, [build.op({ kind: "minimum" }, [gradient, highest]), lowest]),
    );
  }
  return gradients;
}

/** Square root of a sum of scalars: the global norm, from squared norms. */
export function normOf(build: OpGraphBuilder, squares: Iterable<Value>): Value {
  const total = [...squares].reduce((sum, each) => build.op({ kind: "add" }, [sum, each]));
  return build.op({ kind: "sqrt" }, [total]);
}

/** Σ x², a scalar, summed row by row: the engine's float32 sum of millions of numbers at once loses four digits. */
export function sumOfSquares(build: OpGraphBuilder, x: Value): Value {
  const size = sizeOf(x.shape);
  const rows = x.shape.length > 1 ? x.shape[0]! : 1;
  const matrix = build.op({ kind: "reshape", shape: [rows, size / rows] }, [x]);
  const squares = build.op({ kind: "multiply" }, [matrix, matrix]);
  const sums = build.op({ kind: "reduceSum", axes: [1], keepDims: false }, [squares]);
  return build.op({ kind: "reduceSum", axes: [0], keepDims: false }, [sums]);
}
