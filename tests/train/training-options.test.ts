import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { lower } from "../../src/compiler/lower.ts";
import type { WeightSpec } from "../../src/graph/layer-weights.ts";
import { networkWeights } from "../../src/graph/network.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { fromEngineLayout, toEngineWeights } from "../../src/graph/weights.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer, exponentialAverage, polyakAverage } from "../../src/learning/optimizers.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { trainingGraph } from "../../src/train/step/training-graph.ts";
import type { TrainingGraphOptions } from "../../src/train/step/training-graph-options.ts";
import { interpret } from "../oracles/interpreter.ts";
import { batchSize, blockNetwork, layouts, mapWeights, runSteps, stepInput, worstWeight } from "./step-fixtures.ts";

const network = blockNetwork();
const weights = syntheticWeights(network);
const rate = stepInput.learningRate;
const specs = networkWeights(network);

/** The loss in float64 with batch normalizations in one mode, for weights in the engine's layout. */
function lossIn(mode: "training" | "inference") {
  const lowered = lower(network, { mode, batchSize, outputs: [] });
  const build = new OpGraphBuilder(lowered.graph);
  build.output("loss", softmaxCrossEntropy(build, lowered.logits, build.input("targets", lowered.logits.shape)));
  const graph = build.finish();
  const feeds = new Map([...toEngineWeights(network, weights)].map(([name, t]) => [name, Float64Array.from(t.data)]));
  feeds.set("images", Float64Array.from(stepInput.images.data as Float32Array));
  feeds.set("targets", Float64Array.from(stepInput.targets.data));
  return (changed?: readonly [name: string, index: number, change: number]): number => {
    if (!changed) return interpret(graph, feeds).get("loss")![0]!;
    const [name, index, change] = changed;
    const moved = feeds.get(name)!.slice();
    moved[index]! += change;
    return interpret(graph, new Map([...feeds, [name, moved]])).get("loss")![0]!;
  };
}

const inBlock = ({ name }: WeightSpec) => /^(block|top)/.test(name);

describe.each(layouts)("weights that are frozen, %s", (_, platform) => {
  it("stay as they are, and so do the moving statistics of frozen normalizations", async () => {
    const { after, state } = await runSteps(network, { platform, trainable: inBlock }, [stepInput, stepInput]);
    for (const spec of specs) {
      const isSame = after.get(spec.name)!.data.every((value, index) => value === weights.get(spec.name)!.data[index]);
      expect(isSame, spec.name).toBe(!inBlock(spec));
    }
    expect([...state.tensors.keys()].toSorted()).toEqual(specs.map(({ name }) => name).toSorted());
  });

  it.each([
    ["training", (): "training" => "training"],
    ["inference", (): "inference" => "inference"],
  ] as const)("do not disturb the gradients of the others, all normalizations in %s mode", async (mode, batchNorm) => {
    // The stem's kernel trains and what follows it does not: the gradient passes through frozen layers of all kinds.
    const trainable = ({ name }: WeightSpec) => /^(stem|block_bn|top)/.test(name) && !name.startsWith("stem_bn");
    const options = { platform, trainable, batchNorm, gradientOutputs: true };
    const { result, after } = await runSteps(network, options);
    const loss = lossIn(mode);
    expect(Math.abs(result.loss - loss())).toBeLessThan(1e-6);
    const trained = specs.filter((spec) => spec.trainable && trainable(spec));
    expect([...result.gradients.keys()]).toEqual(trained.map(({ name }) => name));
    const engineWeights = toEngineWeights(network, weights);
    for (const spec of trained) {
      const gradient = result.gradients.get(spec.name)!;
      const size = gradient.data.length;
      for (const index of [0, Math.floor(size / 3), size - 1]) {
        const slope = (loss([spec.name, index, 1e-4]) - loss([spec.name, index, -1e-4])) / 2e-4;
        // The one number at this place of the engine's layout, brought into Keras's.
        const place = floatTensor(engineWeights.get(spec.name)!.shape);
        place.data[index] = 1;
        const inKeras = fromEngineLayout(spec, place).data.indexOf(1);
        expect(Math.abs(gradient.data[inKeras]! - slope), `${spec.name}[${index}]`).toBeLessThan(2e-6);
      }
    }
    const moved = mapWeights(weights, (value, name, index) => {
      return value - rate * (result.gradients.get(name)?.data[index] ?? 0);
    });
    const statistics = specs.filter(({ role }) => role.startsWith("moving"));
    const areMoved = statistics.map(({ name }) => after.get(name)!.data[0] !== weights.get(name)!.data[0]);
    expect(areMoved).toEqual(statistics.map(() => mode === "training"));
    expect(worstWeight(after, new Map([...moved].filter(([name]) => !/moving/.test(name)))).difference).toBeLessThan(
      1e-6,
    );
  });
});

describe("the graph of a step", () => {
  const common: TrainingGraphOptions = {
    batchSize,
    loss: softmaxCrossEntropy,
    optimizer: createOptimizer("sgd"),
  };
  const kinds = (options: Partial<TrainingGraphOptions>) =>
    trainingGraph(network, { ...common, ...options }).graph.operations.map(({ config }) => config.kind);

  it("goes back only as far as something trains, and updates nothing else", () => {
    const onlyTop = kinds({ trainable: ({ name }) => name.startsWith("top/") });
    expect(onlyTop.filter((kind) => /Gradient|conv(Input|Filter)/.test(kind))).toEqual([]);
    expect(onlyTop).not.toContain("batchNormalizationTraining");
    const block = kinds({ trainable: inBlock });
    expect(block.filter((kind) => kind === "convFilterGradient")).toHaveLength(2);
    // Behind the depthwise convolution of the block nothing wants to be known.
    expect(block.filter((kind) => kind === "convInputGradient")).toHaveLength(1);
  });

  it("hands frozen weights neither out nor through the optimizer", () => {
    const { graph, state, frozen } = trainingGraph(network, { ...common, trainable: inBlock });
    expect(state.map(({ name }) => name)).toEqual([
      ...specs.filter((spec) => spec.trainable && inBlock(spec)).flatMap(({ name }) => [name, `${name}#momentum`]),
      "block_bn/moving_mean",
      "block_bn/moving_variance",
    ]);
    const names = frozen.map(({ name }) => name);
    expect(names).toContain("stem/kernel");
    expect([...graph.outputs.keys()].filter((name) => names.includes(name.replace("next/", "")))).toEqual([]);
  });

  it("refuses to train nothing", () => {
    const nothing = () => trainingGraph(network, { ...common, trainable: () => false });
    expect(nothing).toThrow(UsageError);
    expect(nothing).toThrow("training of block: all its weights are frozen. Let at least one weight train.");
  });
});

describe("a factor of the learning rate", () => {
  it("makes steps of a weight so much smaller", async () => {
    const rateFactor = ({ name }: WeightSpec) => (name.startsWith("top") ? 1 : name.startsWith("stem") ? 0 : 0.125);
    const { result, after } = await runSteps(network, { rateFactor, gradientOutputs: true });
    for (const spec of specs.filter(({ trainable }) => trainable)) {
      const gradient = result.gradients.get(spec.name)!.data;
      // Powers of two: no rounding but that of the difference.
      const factor = rate * rateFactor(spec);
      const expected = weights
        .get(spec.name)!
        .data.map((value, index) => value - Math.fround(factor * gradient[index]!));
      expect(after.get(spec.name)!.data, spec.name).toEqual(expected);
    }
  });

  it.each(["sgd", "rmsprop", "adam", "adamw"] as const)("is the same for %s as another learning rate", async (name) => {
    const optimizer = createOptimizer(name, { weightDecay: 0.5 });
    const inputs = [stepInput, stepInput];
    const halved = await runSteps(network, { optimizer, rateFactor: () => 0.5 }, inputs);
    const slower = inputs.map((each) => ({ ...each, learningRate: rate / 2 }));
    expect(halved.state).toEqual((await runSteps(network, { optimizer }, slower)).state);
  });
});

describe("clipping", () => {
  const plain = runSteps(network, { gradientOutputs: true });
  const trained = new Map([...weights].filter(([name]) => !/moving/.test(name)));
  const normOf = async (): Promise<number> => {
    let squares = 0;
    for (const { data } of (await plain).result.gradients.values()) for (const value of data) squares += value * value;
    return Math.sqrt(squares);
  };

  it("puts out the norm of all gradients when asked", async () => {
    const { result } = await runSteps(network, { gradientNorm: true });
    expect(result.gradientNorm! / (await normOf())).toBeCloseTo(1, 6);
    expect((await plain).result.gradientNorm).toBeUndefined();
  });

  it.each(layouts)("by the common norm scales all gradients alike, %s", async (_, platform) => {
    const norm = await normOf();
    const limit = norm / 3;
    const { result, after } = await runSteps(network, { platform, clip: { norm: limit } });
    expect(result.gradientNorm! / norm).toBeCloseTo(1, 5);
    const { gradients } = (await plain).result;
    const expected = mapWeights(
      trained,
      (value, name, index) => value - (rate * gradients.get(name)!.data[index]!) / 3,
    );
    expect(worstWeight(after, expected).difference).toBeLessThan(1e-6);
  });

  it("by a norm that is not reached changes nothing", async () => {
    const { after } = await runSteps(network, { clip: { norm: 1.01 * (await normOf()) } });
    expect(after).toEqual((await plain).after);
  });

  it.each(layouts)("by value limits each number on both sides, %s", async (_, platform) => {
    const limit = 0.01;
    const { after } = await runSteps(network, { platform, clip: { value: limit } });
    const { gradients } = (await plain).result;
    const clipped = [...gradients.values()].flatMap(({ data }) => [...data]);
    expect(clipped.some((value) => value > limit) && clipped.some((value) => value < -limit)).toBe(true);
    const expected = mapWeights(
      trained,
      (value, name, index) => value - rate * Math.max(-limit, Math.min(limit, gradients.get(name)!.data[index]!)),
    );
    expect(worstWeight(after, expected).difference).toBeLessThan(1e-6);
  });

  it.each([
    [{ norm: 0 }, "gradient clipping by norm: this value is not allowed; received 0; expected a number above 0."],
    [
      { value: Number.NaN },
      "gradient clipping by value: this value is not allowed; received NaN; expected a number above 0.",
    ],
    [
      { norm: 1, value: 1 },
      'gradient clipping: norm and value cannot both be limited; received {"norm":1,"value":1}. Choose one of them.',
    ],
  ])("refuses %o", async (clip, message) => {
    await expect(runSteps(network, { clip })).rejects.toThrow(message);
  });
});

describe("weights of samples", () => {
  it("multiply the samples' losses, and the mean stays over all samples", async () => {
    const sampleWeights = floatTensor([4], Float32Array.of(0.5, 2, 0, 3));
    const { result } = await runSteps(network, { sampleWeights: true }, [{ ...stepInput, sampleWeights }]);
    const losses = [0, 2, 1, 2].map((label, row) => {
      const logits = [...result.logits.data.slice(3 * row, 3 * row + 3)];
      return Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0)) - logits[label]!;
    });
    const expected = (0.5 * losses[0]! + 2 * losses[1]! + 3 * losses[3]!) / 4;
    expect(result.loss).toBeCloseTo(expected, 5);
  });

  it.each(layouts)("count like samples that come several times, or never, %s", async (_, platform) => {
    const batchNorm = () => "inference" as const;
    const weighted = await runSteps(network, { platform, batchNorm, sampleWeights: true }, [
      { ...stepInput, sampleWeights: floatTensor([4], Float32Array.of(2, 0, 2, 0)) },
    ]);
    const image = 11 * 9 * 3;
    const twice = (data: Float32Array, size: number) =>
      Float32Array.from([0, 0, 2, 2].flatMap((row) => [...data.slice(row * size, (row + 1) * size)]));
    const repeated = await runSteps(network, { platform, batchNorm }, [
      {
        ...stepInput,
        images: floatTensor([4, 11, 9, 3], twice(stepInput.images.data as Float32Array, image)),
        targets: floatTensor([4, 3], twice(stepInput.targets.data, 3)),
      },
    ]);
    expect(weighted.result.loss).toBeCloseTo(repeated.result.loss, 6);
    expect(worstWeight(weighted.after, repeated.after).difference).toBeLessThan(1e-6);
  });

  it("are all 1 where none are given", async () => {
    const { after } = await runSteps(network, { sampleWeights: true });
    expect(worstWeight(after, (await runSteps(network)).after).difference).toBeLessThan(1e-7);
  });
});

describe("averages of the weights", () => {
  const inputs = [stepInput, stepInput, stepInput];

  it("follow every weight and moving statistic, from the initial ones", async () => {
    const averageDecay = exponentialAverage(0.25);
    const run = await runSteps(network, { averageDecay, trainable: inBlock }, inputs);
    // min(0.25, (1 + step)/(10 + step)) = 2/11, 3/12 and then 0.25.
    let expected = weights;
    for (const [index, decay] of [2 / 11, 0.25, 0.25].entries()) {
      const now = run.weights[index]!;
      expected = mapWeights(expected, (old, name, at) => decay * old + (1 - decay) * now.get(name)!.data[at]!);
    }
    expect(worstWeight(run.averaged, expected).difference).toBeLessThan(1e-6);
    expect(worstWeight(run.averaged, run.after).difference).toBeGreaterThan(1e-3);
    expect(run.averaged.get("stem/kernel")).toEqual(weights.get("stem/kernel"));
    expect(run.averaged.get("block_bn/moving_mean")).not.toEqual(run.after.get("block_bn/moving_mean"));
    expect(run.state.tensors.has("block_bn/moving_mean#average")).toBe(true);
  });

  it("by Polyak are the mean of the weights after each step", async () => {
    const run = await runSteps(network, { averageDecay: polyakAverage }, inputs);
    const expected = mapWeights(run.after, (_, name, index) => {
      return run.weights.reduce((sum, each) => sum + each.get(name)!.data[index]!, 0) / 3;
    });
    expect(worstWeight(run.averaged, expected).difference).toBeLessThan(1e-6);
  });

  it("are the weights themselves where none are kept", async () => {
    const run = await runSteps(network);
    expect(run.averaged).toEqual(run.after);
  });

  it("without a warm-up keep their decay, and refuse one of 1", () => {
    expect([1, 2, 1e6].map(exponentialAverage(0.999, { warmUp: false }))).toEqual([0.999, 0.999, 0.999]);
    expect(exponentialAverage(0.999)(1e6)).toBe(0.999);
    expect(() => exponentialAverage(1)).toThrow(
      "average of the weights, decay: this value is not allowed; received 1; " + "expected a number from 0, below 1.",
    );
  });
});
