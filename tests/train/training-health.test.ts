import { describe, expect, it } from "vitest";
import { lower } from "../../src/compiler/lower.ts";
import { networkWeights } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { toEngineWeights, type Weights } from "../../src/graph/weights.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { evaluate } from "../oracles/interpreter.ts";
import { batchSize, blockNetwork, layouts, runSteps, stepInput } from "./step-fixtures.ts";

const network = blockNetwork();
const weights = syntheticWeights(network);

/** Euclidean norm of what `value` says about each number of a layer's trained weights. */
function norm(layer: string, value: (name: string, index: number) => number): number {
  const names = networkWeights(network).filter((spec) => spec.trainable && spec.name.startsWith(`${layer}/`));
  let squares = 0;
  for (const { name } of names) {
    for (const index of weights.get(name)!.data.keys()) squares += value(name, index) ** 2;
  }
  return Math.sqrt(squares);
}
const at = (of: Weights) => (name: string, index: number) => of.get(name)!.data[index]!;

/** Mean, standard deviation and share of numbers not above 0 of a layer's output for the first image, in float64. */
function activation(layer: string) {
  const lowered = lower(network, { mode: "training", batchSize, outputs: [] });
  const feeds = new Map([...toEngineWeights(network, weights)].map(([name, t]) => [name, Float64Array.from(t.data)]));
  feeds.set("images", Float64Array.from(stepInput.images.data as Float32Array));
  const { data } = evaluate(lowered.graph, feeds).get(lowered.layerOutputs.get(layer)!.name)!;
  const first = [...data.slice(0, data.length / batchSize)];
  const mean = first.reduce((sum, value) => sum + value, 0) / first.length;
  const variance = first.reduce((sum, value) => sum + (value - mean) ** 2, 0) / first.length;
  return { mean, deviation: Math.sqrt(variance), zeroShare: first.filter((value) => value <= 0).length / first.length };
}

describe.each(layouts)("the health of a step, %s", (_, platform) => {
  it("is that of its gradients, its weights, its changes and its activations", async () => {
    const options = { platform, health: true, gradientOutputs: true, optimizer: createOptimizer("adam") };
    const { result, after } = await runSteps(network, options, [{ ...stepInput, learningRate: 0.01, health: true }]);
    const { layers, activations } = result.health!;
    expect(layers.map(({ layer }) => layer)).toEqual([
      "stem",
      "stem_bn",
      "block_sepconv",
      "block_bn",
      "shortcut",
      "shortcut_bn",
      "top",
    ]);
    for (const { layer, gradientNorm, weightNorm, updateRatio } of layers) {
      const change = norm(layer, (name, index) => at(after)(name, index) - at(weights)(name, index));
      expect(gradientNorm / norm(layer, at(result.gradients)), layer).toBeCloseTo(1, 5);
      expect(weightNorm / norm(layer, at(weights)), layer).toBeCloseTo(1, 8);
      expect(updateRatio / (change / weightNorm), layer).toBeCloseTo(1, 8);
    }
    expect(activations.map(({ layer }) => layer)).toEqual(["stem_act", "block_act"]);
    for (const { layer, mean, deviation, zeroShare } of activations) {
      const expected = activation(layer);
      expect(mean, layer).toBeCloseTo(expected.mean, 5);
      expect(deviation, layer).toBeCloseTo(expected.deviation, 5);
      expect(zeroShare, layer).toBeCloseTo(expected.zeroShare, 6);
    }
  });
});

describe("the health of a step", () => {
  it("leaves the step as it is, and is told only where it is asked for", async () => {
    const plain = await runSteps(network);
    const watched = await runSteps(network, { health: true }, [stepInput]);
    expect(watched.result.health).toBeUndefined();
    expect(watched.state).toEqual(plain.state);
    expect((await runSteps(network, {}, [{ ...stepInput, health: true }])).result.health).toBeUndefined();
  });

  it("of accumulated gradients is that of their average, and of trained layers alone", async () => {
    const options = { batchSize: 2, accumulate: 2, health: true, gradientOutputs: true };
    const { result } = await runSteps(network, { ...options, trainable: ({ name }) => name.startsWith("top") }, [
      { ...stepInput, health: true },
    ]);
    const [top, ...others] = result.health!.layers;
    expect(others).toEqual([]);
    expect(top!.gradientNorm / norm("top", at(result.gradients))).toBeCloseTo(1, 5);
    expect(result.health!.activations).toHaveLength(2);
  });
});
