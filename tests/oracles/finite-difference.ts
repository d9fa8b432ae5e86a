import { dependents, type OpGraph, type Value } from "../../src/graph/ops.ts";
import { evaluate, interpret } from "./interpreter.ts";

/**
 * Central differences of a scalar output with respect to each element of one value (an input, a parameter or something
 * computed): (f(v + h) − f(v − h)) / 2h.
 * @param step h; 1e-5 leaves an error of about 1e-10 for functions of size 1 in float64.
 */
export function finiteDifference(
  graph: OpGraph,
  target: string,
  name: string,
  feeds: ReadonlyMap<string, Float64Array>,
  step = 1e-5,
): Float64Array {
  const values = new Map([...evaluate(graph, feeds)].map(([each, { data }]) => [each, data]));
  const center = values.get(name)!;
  const part = behind(graph, name);
  const around = part.inputs.concat(part.parameters).map((each) => [each.name, values.get(each.name)!] as const);
  const targetAt = (index: number, value: number): number => {
    const moved = center.slice();
    moved[index] = value;
    return interpret(part, new Map([...around, [name, moved]])).get(target)![0]!;
  };
  return center.map((value, index) => (targetAt(index, value + step) - targetAt(index, value - step)) / (2 * step));
}

/** The operations that depend on a value; the results of all others are inputs. */
function behind(graph: OpGraph, name: string): OpGraph {
  const changing = dependents(graph, [name]);
  const isChanging = (value: Value) => value.name !== name && changing.has(value.name);
  const results = graph.operations.flatMap(({ outputs }) => outputs);
  return {
    ...graph,
    inputs: [...graph.inputs, ...results.filter((value) => !isChanging(value))],
    operations: graph.operations.filter(({ outputs }) => outputs.some(isChanging)),
  };
}

/** The element where an analytic gradient is farthest from the numeric one. */
export interface GradientDifference {
  readonly name: string;
  readonly index: number;
  readonly analytic: number;
  readonly numeric: number;
  /** |analytic − numeric| / max(1, |numeric|); infinite where the sizes differ or a number is not finite. */
  readonly difference: number;
}

/** Compares analytic gradients, by the name of the value they belong to, with central differences; the worst element. */
export function worstGradient(
  graph: OpGraph,
  target: string,
  analyticGradients: ReadonlyMap<string, Float64Array>,
  feeds: ReadonlyMap<string, Float64Array>,
): GradientDifference {
  const differences = [...analyticGradients].flatMap(([name, analyticGradient]) => {
    const numericGradient = finiteDifference(graph, target, name, feeds);
    const length = Math.max(numericGradient.length, analyticGradient.length);
    return Array.from({ length }, (_, index): GradientDifference => {
      const analytic = analyticGradient[index] ?? Number.NaN;
      const numeric = numericGradient[index] ?? Number.NaN;
      const relative = Math.abs(analytic - numeric) / Math.max(1, Math.abs(numeric));
      return { name, index, analytic, numeric, difference: Number.isFinite(relative) ? relative : Infinity };
    });
  });
  return differences.reduce((worst, each) => (each.difference > worst.difference ? each : worst));
}
