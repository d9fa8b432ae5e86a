import type { WeightSpec } from "../../graph/layer-weights.ts";
import type { OpGraphBuilder } from "../../graph/op-builder.ts";
import type { Value } from "../../graph/ops.ts";
import { clipGradients, normOf, sumOfSquares } from "../../learning/gradient-clipping.ts";
import type { MovingStatistic } from "./training-forward.ts";
import { type TrainingGraphOptions, trainingNames } from "./training-graph-options.ts";
import { averageSlot, type StateEntry } from "./training-state.ts";

/** What an update goes by; all values are of the graph that is being written. */
export interface UpdateInput {
  readonly build: OpGraphBuilder;
  readonly trained: readonly WeightSpec[];
  /** By weight. */
  readonly gradients: ReadonlyMap<string, Value>;
  readonly statistics: readonly MovingStatistic[];
  /** By weight: the trained ones and the moving statistics. */
  readonly parameters: ReadonlyMap<string, Value>;
}

/** What an update replaces, and what it wants to be fed. */
export interface WrittenUpdate {
  readonly state: readonly StateEntry[];
  /** Each factor of the learning rate that a weight has, once. */
  readonly rateFactors: readonly number[];
}

/** Writes the second half of a training step: clip, optimizer, moving statistics, averages. */
export function writeUpdate(input: UpdateInput, options: TrainingGraphOptions): WrittenUpdate {
  const { build, trained, statistics, parameters } = input;
  const { optimizer, decays = isKernel, rateFactor = () => 1, clip = {} } = options;
  const state: StateEntry[] = [];
  const share = options.averageDecay && build.input(trainingNames.averageShare, []);
  const replace = (entry: StateEntry, next: Value): void => {
    state.push(entry);
    build.output(trainingNames.next(entry.name), next);
  };
  const replaceWeight = (weight: WeightSpec, shape: readonly number[], next: Value): void => {
    replace({ name: weight.name, weight, shape }, next);
    if (!share) return;
    const average = build.parameter(`${weight.name}#${averageSlot}`, shape);
    const step = build.op({ kind: "multiply" }, [build.op({ kind: "subtract" }, [next, average]), share]);
    replace({ name: average.name, weight, slot: averageSlot, shape }, build.op({ kind: "add" }, [average, step]));
  };

  const squares = once(
    () => new Map([...input.gradients].map(([name, gradient]) => [name, sumOfSquares(build, gradient)])),
  );
  const norm = once(() => normOf(build, squares().values()));
  const gradients = clipGradients(build, input.gradients, clip, norm);
  if (options.gradientNorm || clip.norm !== undefined) build.output(trainingNames.gradientNorm, norm());
  if (options.health) {
    for (const [name, square] of squares()) build.output(trainingNames.gradientSquare(name), square);
  }
  const rateFactors = [...new Set(trained.map(rateFactor))];
  const scalars = new Map(
    rateFactors.map((factor) => {
      const names = Object.keys(optimizer.scalars(1, 1));
      return [factor, new Map(names.map((name) => [name, build.input(trainingNames.scalar(name, factor), [])]))];
    }),
  );
  for (const weight of trained) {
    const parameter = parameters.get(weight.name)!;
    const slots = optimizer.slots.map((slot) => build.parameter(`${weight.name}#${slot}`, parameter.shape));
    const updated = optimizer.update({
      build,
      parameter,
      slots,
      scalars: scalars.get(rateFactor(weight))!,
      gradient: gradients.get(weight.name)!,
      decays: decays(weight),
    });
    replaceWeight(weight, parameter.shape, updated.parameter);
    for (const [index, slot] of optimizer.slots.entries()) {
      const { name, shape } = slots[index]!;
      replace({ name, weight, slot, shape }, updated.slots[index]!);
    }
  }
  for (const { weight, batch, momentum } of statistics) {
    const moving = parameters.get(weight.name)!;
    const kept = build.op({ kind: "multiply" }, [moving, build.constant(momentum)]);
    const added = build.op({ kind: "multiply" }, [batch, build.constant(1 - momentum)]);
    replaceWeight(weight, moving.shape, build.op({ kind: "add" }, [kept, added]));
  }
  return { state, rateFactors };
}

function isKernel({ role }: WeightSpec): boolean {
  return role === "kernel" || role === "depthwiseKernel" || role === "pointwiseKernel" || role === "denseKernel";
}

function once<T>(create: () => T): () => T {
  let created: { readonly value: T } | undefined;
  return () => {
    created ??= { value: create() };
    return created.value;
  };
}
