import { assertOption, choice, number } from "../base/kinds.ts";
import type { OpGraphBuilder } from "../graph/op-builder.ts";
import type { Value } from "../graph/ops.ts";

/** One parameter in an optimizer update. */
export interface UpdateOperands {
  readonly build: OpGraphBuilder;
  readonly parameter: Value;
  readonly gradient: Value;
  /** The optimizer's state for this parameter, one value for each name in `slots`. */
  readonly slots: readonly Value[];
  /** Per-step scalars, as computed by `scalars`. */
  readonly scalars: ReadonlyMap<string, Value>;
  /** False for parameters exempt from weight decay. */
  readonly decays: boolean;
}

/** A weight and its slots after an update. */
export interface Updated {
  readonly parameter: Value;
  readonly slots: readonly Value[];
}

/** An optimizer: its update rule is part of the training graph, its state is outside. */
export interface Optimizer {
  readonly name: OptimizerName;
  /** Names of the optimizer's state for each parameter, initialized to 0. */
  readonly slots: readonly string[];
  /** Returns the scalars to feed at a step. @param step counts from 1. */
  readonly scalars: (learningRate: number, step: number) => Readonly<Record<string, number>>;
  /** Emits the update of one parameter. */
  readonly update: (operands: UpdateOperands) => Updated;
}

export const optimizerNames = ["sgd", "rmsprop", "adam", "adamw"] as const;
/** Name of an optimizer, as in Keras. */
export type OptimizerName = (typeof optimizerNames)[number];

/** Options of {@link createOptimizer}. */
export interface OptimizerOptions {
  /** Momentum of SGD and RMSprop, default 0.9 and 0. */
  readonly momentum?: number;
  /** SGD: Nesterov momentum; default false. */
  readonly nesterov?: boolean;
  /** RMSprop: decay rate of the mean square; default 0.9. */
  readonly rho?: number;
  /** Adam and AdamW: decay rates of the moments; default 0.9 and 0.999. */
  readonly beta1?: number;
  readonly beta2?: number;
  /** Added to the denominator of RMSprop and Adam; default 1e-7, Keras's. */
  readonly epsilon?: number;
  /**
   * λ of an L2 penalty λ/2·Σw² added to the loss (SGD, RMSprop, Adam), or of decoupled decay w −= lr·λ·w (AdamW).
   * Default 0.
   */
  readonly weightDecay?: number;
}

/**
 * Creates an optimizer by name.
 * @throws {UsageError} the name is unknown, or an option is out of range.
 */
export function createOptimizer(name: OptimizerName, options: OptimizerOptions = {}): Optimizer {
  for (const key of ["momentum", "rho", "beta1", "beta2"] as const) {
    const value = options[key];
    if (value !== undefined) assertOption(`optimizer option "${key}"`, value, number({ from: 0, below: 1 }));
  }
  for (const key of ["epsilon", "weightDecay"] as const) {
    const value = options[key];
    if (value !== undefined) assertOption(`optimizer option "${key}"`, value, number({ from: 0 }));
  }
  assertOption('optimizer option "name"', name, choice(...optimizerNames));
  return optimizers[name](options);
}

const optimizers: Readonly<Record<OptimizerName, (options: OptimizerOptions) => Optimizer>> = {
  sgd,
  rmsprop,
  adam: (options) => adam("adam", options),
  adamw: (options) => adam("adamw", options),
};

/** v ← μ·v − lr·g, w ← w + v; with Nesterov momentum w ← w + μ·v − lr·g. @see Keras, SGD */
function sgd({ momentum = 0.9, nesterov = false, weightDecay = 0 }: OptimizerOptions): Optimizer {
  return {
    name: "sgd",
    slots: momentum > 0 ? ["momentum"] : [],
    scalars: (learningRate) => ({ learning_rate: learningRate }),
    update: ({ build, parameter, gradient, slots: [velocity], scalars, decays }) => {
      const { add, subtract, multiply } = arithmetic(build);
      const g = penalized(build, gradient, parameter, decays ? weightDecay : 0);
      const move = multiply(g, scalars.get("learning_rate")!);
      if (!velocity) return { parameter: subtract(parameter, move), slots: [] };
      const next = subtract(multiply(velocity, build.constant(momentum)), move);
      const step = nesterov ? subtract(multiply(next, build.constant(momentum)), move) : next;
      return { parameter: add(parameter, step), slots: [next] };
    },
  };
}

/** s ← ρ·s + (1 − ρ)·g², v ← μ·v + lr·g/√(s + ε), w ← w − v. @see Keras, RMSprop */
function rmsprop({ momentum = 0, rho = 0.9, epsilon = 1e-7, weightDecay = 0 }: OptimizerOptions): Optimizer {
  return {
    name: "rmsprop",
    slots: momentum > 0 ? ["mean_square", "momentum"] : ["mean_square"],
    scalars: (learningRate) => ({ learning_rate: learningRate }),
    update: ({ build, parameter, gradient, slots: [square, velocity], scalars, decays }) => {
      const { add, subtract, multiply, divide, sqrt } = arithmetic(build);
      const g = penalized(build, gradient, parameter, decays ? weightDecay : 0);
      const share = multiply(multiply(g, g), build.constant(1 - rho));
      const nextSquare = add(multiply(square!, build.constant(rho)), share);
      const direction = divide(g, sqrt(add(nextSquare, build.constant(epsilon))));
      const move = multiply(direction, scalars.get("learning_rate")!);
      if (!velocity) return { parameter: subtract(parameter, move), slots: [nextSquare] };
      const next = add(multiply(velocity, build.constant(momentum)), move);
      return { parameter: subtract(parameter, next), slots: [nextSquare, next] };
    },
  };
}

/**
 * m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², w ← w − lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m/(√v + ε); AdamW first subtracts
 * lr·λ·w from the weights. @see Keras, Adam and AdamW
 */
function adam(
  name: "adam" | "adamw",
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7, weightDecay = 0 }: OptimizerOptions,
): Optimizer {
  const isDecoupled = name === "adamw";
  return {
    name,
    slots: ["first_moment", "second_moment"],
    scalars: (learningRate, step) => ({
      corrected_rate: (learningRate * Math.sqrt(1 - beta2 ** step)) / (1 - beta1 ** step),
      decay_factor: 1 - learningRate * weightDecay,
    }),
    update: ({ build, parameter, gradient, slots: [first, second], scalars, decays }) => {
      const { add, subtract, multiply, divide, sqrt } = arithmetic(build);
      const g = penalized(build, gradient, parameter, decays && !isDecoupled ? weightDecay : 0);
      const m = add(multiply(first!, build.constant(beta1)), multiply(g, build.constant(1 - beta1)));
      const square = multiply(multiply(g, g), build.constant(1 - beta2));
      const v = add(multiply(second!, build.constant(beta2)), square);
      const move = divide(multiply(m, scalars.get("corrected_rate")!), add(sqrt(v), build.constant(epsilon)));
      const isSpared = !decays || !isDecoupled || weightDecay === 0;
      const kept = isSpared ? parameter : multiply(parameter, scalars.get("decay_factor")!);
      return { parameter: subtract(kept, move), slots: [m, v] };
    },
  };
}

function penalized(build: OpGraphBuilder, gradient: Value, parameter: Value, weightDecay: number): Value {
  if (weightDecay === 0) return gradient;
  const { add, multiply } = arithmetic(build);
  return add(gradient, multiply(parameter, build.constant(weightDecay)));
}

function arithmetic(build: OpGraphBuilder) {
  const binary = (kind: "add" | "subtract" | "multiply" | "divide") => (a: Value, b: Value) =>
    build.op({ kind }, [a, b]);
  return {
    add: binary("add"),
    subtract: binary("subtract"),
    multiply: binary("multiply"),
    divide: binary("divide"),
    sqrt: (x: Value) => build.op({ kind: "sqrt" }, [x]),
  };
}

/** Default hyperparameters of an optimizer. */
export const optimizerDefaults: Readonly<
  Record<OptimizerName, { readonly learningRate: number; readonly weightDecay: number }>
> = {
  // As in the paper, on ImageNet and on JFT.
  sgd: { learningRate: 0.045, weightDecay: 1e-5 },
  rmsprop: { learningRate: 0.001, weightDecay: 0 },
  adam: { learningRate: 0.001, weightDecay: 0 },
  adamw: { learningRate: 0.003, weightDecay: 0.05 },
};

/** Decay of a weight average: the share of the old average that is kept at a step; steps count from 1. */
export type AverageDecay = (step: number) => number;

/**
 * An exponential moving average with a warm-up, so that the initial weights are soon forgotten: min(decay, (1 +
 * step)/(10 + step)).
 * @see TensorFlow, `tf.train.ExponentialMovingAverage` with `num_updates`
 * @throws {UsageError} the decay is not a number from 0 up to, not including, 1.
 */
export function exponentialAverage(decay: number, options: { readonly warmUp?: boolean } = {}): AverageDecay {
  assertOption("average of the weights, decay", decay, number({ from: 0, below: 1 }));
  const { warmUp = true } = options;
  return (step) => (warmUp ? Math.min(decay, (1 + step) / (10 + step)) : decay);
}

/** The arithmetic mean of the weights after each step so far. @see Polyak and Juditsky, 1992 */
export const polyakAverage: AverageDecay = (step) => 1 - 1 / step;
