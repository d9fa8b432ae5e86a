import { gradient } from "../compiler/gradient.ts";
import { lower } from "../compiler/lower.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import type { ConfigOf } from "../graph/layers.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import { OpGraphBuilder } from "../graph/op-builder.ts";
import type { OpGraph, Value } from "../graph/ops.ts";
import type { Preprocessing } from "../graph/preprocessing.ts";
import type { Loss } from "../learning/losses.ts";
import type { Optimizer } from "../learning/optimizers.ts";
import type { StateEntry } from "./training-state.ts";

export interface TrainingGraphOptions {
  readonly batchSize: number;
  readonly optimizer: Optimizer;
  readonly loss: Loss;
  /** Without it the pictures are float32, already scaled. */
  readonly preprocessing?: Preprocessing | undefined;
  /** Which weights the optimizer's weight decay applies to; default: kernels, not biases, gammas and betas. */
  readonly decays?: (spec: WeightSpec) => boolean;
  /** Also put out the gradients, as `gradient/<weight>`; default false. */
  readonly gradientOutputs?: boolean;
}

/** One training step as one graph: forward, loss, gradients, new weights. */
export interface TrainingGraph {
  readonly graph: OpGraph;
  readonly state: readonly StateEntry[];
  readonly dropoutMasks: readonly { readonly mask: Value; readonly rate: number }[];
}

/** Names of the step's inputs and outputs besides the state. */
export const trainingNames = {
  images: "images",
  targets: "targets",
  loss: "loss",
  logits: "logits",
  scalar: (name: string) => `step/${name}`,
  next: (name: string) => `next/${name}`,
  gradient: (name: string) => `gradient/${name}`,
} as const;

/** Composes lower → loss → gradient → update. */
export function trainingGraph(network: Network, options: TrainingGraphOptions): TrainingGraph {
  const { batchSize, optimizer, preprocessing, decays = isKernel, gradientOutputs = false } = options;
  const lowered = lower(network, { mode: "training", batchSize, preprocessing, outputs: [] });
  const specs = networkWeights(network);
  const trainable = specs.filter((spec) => spec.trainable);

  const forward = new OpGraphBuilder(lowered.graph);
  const targets = forward.input(trainingNames.targets, lowered.logits.shape);
  forward.output(trainingNames.loss, options.loss(forward, lowered.logits, targets));
  forward.output(trainingNames.logits, lowered.logits);
  const backward = gradient(
    forward.finish(),
    trainingNames.loss,
    trainable.map((spec) => spec.name),
  );

  const build = new OpGraphBuilder(gradientOutputs ? backward.graph : withoutGradientOutputs(backward.graph));
  const parameters = new Map(lowered.graph.parameters.map((value) => [value.name, value]));
  const scalars = new Map(
    Object.keys(optimizer.scalars(1, 1)).map((name) => [name, build.input(trainingNames.scalar(name), [])]),
  );
  const state: StateEntry[] = [];
  const replace = (entry: StateEntry, next: Value): void => {
    state.push(entry);
    build.output(trainingNames.next(entry.name), next);
  };

  for (const spec of trainable) {
    const parameter = parameters.get(spec.name)!;
    const slots = optimizer.slots.map((slot) => build.parameter(`${spec.name}#${slot}`, parameter.shape));
    const operands = {
      build,
      parameter,
      slots,
      scalars,
      gradient: backward.gradients.get(spec.name)!,
      decays: decays(spec),
    };
    const updated = optimizer.update(operands);
    replace({ name: spec.name, weight: spec, shape: parameter.shape }, updated.parameter);
    for (const [index, slot] of optimizer.slots.entries()) {
      const { name, shape } = slots[index]!;
      replace({ name, weight: spec, slot, shape }, updated.slots[index]!);
    }
  }
  // moving ← moving·momentum + batch·(1 − momentum), as Keras does, the variance being the biased one.
  for (const { layer, mean, variance } of lowered.statistics) {
    const { momentum } = layer.config as ConfigOf<"BatchNormalization">;
    for (const [role, batch] of [
      ["movingMean", mean],
      ["movingVariance", variance],
    ] as const) {
      const spec = layer.weights.find((weight) => weight.role === role)!;
      const moving = parameters.get(spec.name)!;
      const kept = build.op({ kind: "multiply" }, [moving, build.constant(momentum)]);
      const share = build.op({ kind: "multiply" }, [batch, build.constant(1 - momentum)]);
      replace({ name: spec.name, weight: spec, shape: moving.shape }, build.op({ kind: "add" }, [kept, share]));
    }
  }
  return { graph: build.finish(), state, dropoutMasks: lowered.dropoutMasks };
}

function isKernel({ role }: WeightSpec): boolean {
  return role === "kernel" || role === "depthwiseKernel" || role === "pointwiseKernel" || role === "denseKernel";
}

function withoutGradientOutputs(graph: OpGraph): OpGraph {
  const outputs = [...graph.outputs].filter(([name]) => name === trainingNames.loss || name === trainingNames.logits);
  return { ...graph, outputs: new Map(outputs) };
}
