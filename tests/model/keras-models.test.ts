import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { compile } from "../../src/compiler/compile.ts";
import { countParameters, inputShapeOf, type Network, networkWeights } from "../../src/graph/network.ts";
import { syntheticImages } from "../../src/graph/synthetic.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { loadWeights, openModel } from "../../src/model/open-weights.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { FloatTensor } from "../../src/tensor/tensor.ts";

const formats = join(root, "tests/golden/formats");
const trained = join(root, "../shared/data/mini-xception");
const trainedGolden = join(root, "../shared/golden/mini-xception.json");

/** Keras and ONNX Runtime both add up in single precision, each in its own order. */
const tolerance = 1e-4;

/** The network's probabilities for synthetic images, through ONNX Runtime or, as a program, our WebAssembly engine. */
async function probabilities(
  network: Network,
  weights: Weights,
  batch: number,
  form: "exact" | "program" = "exact",
): Promise<number[][]> {
  const shape = inputShapeOf(network) as readonly [number, number, number];
  const session = await nodePlatform.engine.createSession(compile(network, weights, { form }));
  const { data } = (await session.run({ images: syntheticImages(batch, shape) }))[network.output] as FloatTensor;
  await session.dispose();
  const classes = data.length / batch;
  return Array.from({ length: batch }, (_, b) => [...data.subarray(b * classes, (b + 1) * classes)]);
}

function largestDifference(actual: readonly number[][], expected: readonly number[][]): number {
  expect(actual.map((row) => row.length)).toEqual(expected.map((row) => row.length));
  return Math.max(...actual.flatMap((row, b) => row.map((value, index) => Math.abs(value - expected[b]![index]!))));
}

describe("one network in every format of Keras gives the outputs of Keras", () => {
  const golden = JSON.parse(readFileSync(join(formats, "small.json"), "utf8")) as { probabilities: number[][] };
  const models = ["small.keras", "small.h5"];
  const weightsOnly = ["small-weights-only.h5", "small.weights.h5"];

  test.each(models)("%s, with the network in it", async (file) => {
    const { network, weights, report } = await openModel(join(formats, file), nodePlatform);
    expect(report).toEqual({ by: "name", taken: 25, initialized: [], missing: [], unexpected: [], wrongShape: [] });
    expect(largestDifference(await probabilities(network, weights, 2), golden.probabilities)).toBeLessThan(tolerance);
  });

  test.each(weightsOnly)("%s, into the network it belongs to", async (file) => {
    const { network } = await openModel(join(formats, "small.keras"), nodePlatform);
    const { weights } = await loadWeights(network, join(formats, file), nodePlatform);
    expect(largestDifference(await probabilities(network, weights, 2), golden.probabilities)).toBeLessThan(tolerance);
  });
});

describe.skipIf(!existsSync(trained) || !existsSync(trainedGolden))(
  "networks that others trained (not here without ../shared)",
  () => {
    const golden = (existsSync(trainedGolden) ? JSON.parse(readFileSync(trainedGolden, "utf8")) : {}) as Record<
      string,
      { input_shape: number[]; params: number; layers: number; probabilities: number[][] }
    >;

    test.each(Object.keys(golden))("%s gives the outputs of Keras", async (file) => {
      const expected = golden[file]!;
      const { network, weights } = await openModel(join(trained, file), nodePlatform);
      expect(inputShapeOf(network)).toEqual(expected.input_shape);
      expect(network.layers).toHaveLength(expected.layers);
      expect(countParameters(networkWeights(network)).total).toBe(expected.params);
      for (const form of ["exact", "program"] as const) {
        const actual = await probabilities(network, weights, expected.probabilities.length, form);
        expect(largestDifference(actual, expected.probabilities), form).toBeLessThan(tolerance);
      }
    });
  },
);
