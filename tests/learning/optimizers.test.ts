import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { createOptimizer, type Optimizer, type OptimizerName, optimizerNames } from "../../src/learning/optimizers.ts";
import { interpret } from "../oracles/interpreter.ts";

const learningRate = 0.1;
const start = [1, -2];
/** The gradient at each step, for the two numbers of one weight. */
const gradients = [
  [0.5, -0.25],
  [-1, 0.125],
];

/** The weight after each step, as the optimizer's operators compute it in float64. */
function trace(optimizer: Optimizer, decays = true): number[][] {
  const build = new OpGraphBuilder();
  const updated = optimizer.update({
    build,
    parameter: build.parameter("weight", [2]),
    gradient: build.input("gradient", [2]),
    slots: optimizer.slots.map((slot) => build.parameter(slot, [2])),
    scalars: new Map(Object.keys(optimizer.scalars(1, 1)).map((name) => [name, build.input(name, [])])),
    decays,
  });
  build.output("next/weight", updated.parameter);
  for (const [index, slot] of optimizer.slots.entries()) build.output(`next/${slot}`, updated.slots[index]!);
  const graph = build.finish();

  const names = ["weight", ...optimizer.slots];
  let state: ReadonlyMap<string, Float64Array> = new Map(
    names.map((name) => [name, Float64Array.from(name === "weight" ? start : [0, 0])]),
  );
  return gradients.map((gradient, index) => {
    const scalars = Object.entries(optimizer.scalars(learningRate, index + 1));
    const fed = scalars.map(([name, value]) => [name, Float64Array.of(value)] as const);
    const results = interpret(graph, new Map([...state, ...fed, ["gradient", Float64Array.from(gradient)]]));
    state = new Map(names.map((name) => [name, results.get(`next/${name}`)!]));
    return [...state.get("weight")!];
  });
}

/** Constants like 0.9 are float32 in the graph, right to 6e-8; nothing else is rounded. */
function expectTrace(actual: readonly number[][], expected: readonly number[][]): void {
  for (const [step, values] of expected.entries()) {
    for (const [index, value] of values.entries()) {
      expect(Math.abs(actual[step]![index]! - value), `step ${step + 1}, weight ${index}`).toBeLessThan(2e-7);
    }
  }
}

/** One number through both steps by a formula that keeps what it needs between them. */
function byFormula(formula: () => (weight: number, gradient: number, step: number) => number): number[][] {
  const perNumber = start.map((first, index) => {
    const next = formula();
    let weight = first;
    return gradients.map((gradient, step) => {
      weight = next(weight, gradient[index]!, step + 1);
      return weight;
    });
  });
  return gradients.map((_, step) => perNumber.map((weights) => weights[step]!));
}

describe("sgd, two steps by hand", () => {
  it("without momentum: w − 0.1·g", () => {
    const optimizer = createOptimizer("sgd", { momentum: 0 });
    expect(optimizer.slots).toEqual([]);
    expectTrace(trace(optimizer), [
      [0.95, -1.975],
      [1.05, -1.9875],
    ]);
  });

  it("with momentum 0.9: v = −0.05, then 0.9·−0.05 + 0.1 = 0.055", () => {
    expectTrace(trace(createOptimizer("sgd")), [
      [0.95, -1.975],
      [1.005, -1.965],
    ]);
  });

  it("with Nesterov's look-ahead: w + 0.9·v − 0.1·g", () => {
    // First −0.9·0.05 − 0.05 = −0.095; then 0.9·0.055 + 0.1 = 0.1495.
    expectTrace(trace(createOptimizer("sgd", { nesterov: true })), [
      [0.905, -1.9525],
      [1.0545, -1.956],
    ]);
  });

  it("with an L2 penalty: the gradient gains λ·w", () => {
    const optimizer = createOptimizer("sgd", { momentum: 0, weightDecay: 0.5 });
    // g = 0.5 + 0.5·1 = 1 and −0.25 − 1 = −1.25; then −1 + 0.45 = −0.55 and 0.125 − 0.9375 = −0.8125.
    expectTrace(trace(optimizer), [
      [0.9, -1.875],
      [0.955, -1.79375],
    ]);
  });
});

describe("rmsprop, two steps by hand and by Keras's formula", () => {
  it("divides by the root of the mean square: g/√(0.1·g²) = √10 at first", () => {
    // Then s = 0.9·0.025 + 0.1 = 0.1225 and g/√s = −1/0.35; and 0.9·0.00625 + 0.0015625 = 0.0071875.
    const optimizer = createOptimizer("rmsprop", { epsilon: 0 });
    const first = [1 - Math.sqrt(10) / 10, -2 + Math.sqrt(10) / 10] as const;
    expectTrace(trace(optimizer), [[...first], [first[0] + 0.1 / 0.35, first[1] - 0.0125 / Math.sqrt(0.0071875)]]);
  });

  it.each([
    { momentum: 0, rho: 0.9, epsilon: 1e-7 },
    { momentum: 0.9, rho: 0.8, epsilon: 0.01 },
  ])("%o", (options) => {
    const { momentum, rho, epsilon } = options;
    const expected = byFormula(() => {
      let square = 0;
      let velocity = 0;
      return (weight, gradient) => {
        square = rho * square + (1 - rho) * gradient ** 2;
        velocity = momentum * velocity + (learningRate * gradient) / Math.sqrt(square + epsilon);
        return weight - velocity;
      };
    });
    expectTrace(trace(createOptimizer("rmsprop", options)), expected);
  });

  it("with an L2 penalty", () => {
    const expected = byFormula(() => {
      let square = 0;
      return (weight, gradient) => {
        const penalized = gradient + 0.5 * weight;
        square = 0.9 * square + 0.1 * penalized ** 2;
        return weight - (0.1 * penalized) / Math.sqrt(square + 1e-7);
      };
    });
    expectTrace(trace(createOptimizer("rmsprop", { weightDecay: 0.5 })), expected);
  });
});

/** As in the paper by Kingma and Ba, with the corrected moments written out. */
function adamByPaper(options: { readonly penalty?: number; readonly decay?: number } = {}): number[][] {
  const { penalty = 0, decay = 0 } = options;
  return byFormula(() => {
    let first = 0;
    let second = 0;
    return (weight, plain, step) => {
      const gradient = plain + penalty * weight;
      first = 0.9 * first + 0.1 * gradient;
      second = 0.999 * second + 0.001 * gradient ** 2;
      const kept = weight * (1 - learningRate * decay);
      return kept - (learningRate * (first / (1 - 0.9 ** step))) / Math.sqrt(second / (1 - 0.999 ** step));
    };
  });
}

describe("adam and adamw", () => {
  it.each<OptimizerName>(["adam", "adamw"])(
    "%s goes by the learning rate at first, whatever the gradient's size",
    (name) => {
      const [first] = trace(createOptimizer(name, { epsilon: 0 }));
      expectTrace([first!], [[0.9, -1.9]]);
    },
  );

  it("adam, the second step by hand", () => {
    // m̂ = (0.9·0.05 − 0.1)/0.19 = −0.2894737, v̂ = (0.999·0.00025 + 0.001)/0.001999 = 0.6251876.
    const [, second] = trace(createOptimizer("adam", { epsilon: 0 }));
    expect(second![0]).toBeCloseTo(0.9 + (0.1 * 0.2894737) / Math.sqrt(0.6251876), 6);
  });

  it("adam equals the paper's formula", () => {
    expectTrace(trace(createOptimizer("adam", { epsilon: 0 })), adamByPaper());
  });

  it("adam adds its ε to √v before the correction, as Keras does", () => {
    const expected = byFormula(() => {
      let first = 0;
      let second = 0;
      return (weight, gradient, step) => {
        first += (gradient - first) * (1 - 0.9);
        second += (gradient ** 2 - second) * (1 - 0.999);
        const alpha = (learningRate * Math.sqrt(1 - 0.999 ** step)) / (1 - 0.9 ** step);
        return weight - (first * alpha) / (Math.sqrt(second) + 0.01);
      };
    });
    expectTrace(trace(createOptimizer("adam", { epsilon: 0.01 })), expected);
  });

  it("adam's weight decay is an L2 penalty", () => {
    const optimizer = createOptimizer("adam", { epsilon: 0, weightDecay: 0.5 });
    expectTrace(trace(optimizer), adamByPaper({ penalty: 0.5 }));
  });

  it("adamw's weight decay does not enter the moments", () => {
    const optimizer = createOptimizer("adamw", { epsilon: 0, weightDecay: 0.5 });
    const actual = trace(optimizer);
    // 1·(1 − 0.1·0.5) − 0.1 and −2·0.95 + 0.1.
    expectTrace(actual, [[0.85, -1.8]]);
    expectTrace(actual, adamByPaper({ decay: 0.5 }));
  });
});

describe("weight decay", () => {
  it.each(optimizerNames)("%s spares what it is told to spare", (name) => {
    const without = trace(createOptimizer(name));
    expect(trace(createOptimizer(name, { weightDecay: 0.5 }), false)).toEqual(without);
    expect(trace(createOptimizer(name, { weightDecay: 0.5 }))).not.toEqual(without);
  });
});

describe("refusals", () => {
  const below1 = "a number from 0, below 1";
  it.each([
    ["momentum", 1, below1],
    ["rho", -0.1, below1],
    ["beta1", Number.NaN, below1],
    ["beta2", 1.5, below1],
    ["epsilon", -1e-9, "a number from 0"],
    ["weightDecay", Number.NaN, "a number from 0"],
  ])("%s %s", (option, value, expected) => {
    const create = () => createOptimizer("adam", { [option]: value });
    expect(create).toThrow(UsageError);
    expect(create).toThrow(
      `optimizer option "${option}": this value is not allowed; received ${value}; expected ${expected}.`,
    );
  });

  it("an unknown name", () => {
    expect(() => createOptimizer("best" as OptimizerName)).toThrow(
      `optimizer option "name": this value is not allowed; received "best"; expected one of ${optimizerNames.join(", ")}.`,
    );
  });
});
