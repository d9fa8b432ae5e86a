import { gradient } from "../../src/compiler/gradient.ts";
import { lower } from "../../src/compiler/lower.ts";
import {
  add,
  batchNormalization,
  conv2d,
  dense,
  globalAveragePooling2d,
  input,
  type LayerOutput,
  maxPooling2d,
  relu,
  separableConv2d,
} from "../../src/graph/builder.ts";
import { network, networkWeights } from "../../src/graph/network.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import type { OpGraph } from "../../src/graph/ops.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { sizeOf } from "../../src/tensor/shape.ts";

/**
 * Loss and gradients of a stem, an entry block with a pooling and a middle block, each way in which a training step uses
 * values; 7×6 pixels.
 */
export function smallTraining(batchSize: number) {
  let x: LayerOutput = input([7, 6, 3]);
  x = conv2d(x, { filters: 4, kernelSize: 3, useBias: false, name: "stem" });
  x = relu(batchNormalization(x, { name: "stem_bn" }), { name: "stem_act" });
  x = separableConv2d(x, { filters: 8, kernelSize: 3, padding: "same", useBias: false, name: "entry" });
  x = maxPooling2d(batchNormalization(x, { name: "entry_bn" }), {
    kernelSize: 3,
    strides: 2,
    padding: "same",
    name: "pool",
  });
  let y = relu(x, { name: "middle_act" });
  y = separableConv2d(y, { filters: 8, kernelSize: 3, padding: "same", useBias: false, name: "middle" });
  x = add([batchNormalization(y, { name: "middle_bn" }), x], { name: "sum" });
  const net = network("kept", dense(globalAveragePooling2d(x), { units: 3, activation: "softmax" }));
  const lowered = lower(net, { mode: "training", batchSize, outputs: [] });
  const build = new OpGraphBuilder(lowered.graph);
  const targets = build.input("targets", lowered.logits.shape);
  build.output("loss", softmaxCrossEntropy(build, lowered.logits, targets));
  const forward = build.finish();
  const trained = networkWeights(net).filter(({ trainable }) => trainable);
  const { graph } = gradient(
    forward,
    "loss",
    trained.map(({ name }) => name),
  );
  return { graph, forwardCount: forward.operations.length };
}

/** Numbers for everything that is fed. */
export function feedsOf({ inputs, parameters }: OpGraph): Map<string, Float64Array> {
  const values = (name: string, count: number, seed: number) =>
    Float64Array.from({ length: count }, (_, index) =>
      name === "targets"
        ? Number(index % 3 === seed % 3)
        : Math.sin(7 * index + seed) + (name.includes("gamma") ? 2 : 0),
    );
  return new Map([...inputs, ...parameters].map(({ name, shape }, seed) => [name, values(name, sizeOf(shape), seed)]));
}
