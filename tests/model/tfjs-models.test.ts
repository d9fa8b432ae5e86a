import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { imageInput, lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import { openModel } from "../../src/model/open-weights.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const folder = join(root, "tests/golden/formats/small-tfjs");

test("a layers model that TF.js has written gives TF.js's outputs", async () => {
  const { network, weights, report, format } = await openModel(join(folder, "model.json"), nodePlatform);
  expect(format).toBe("TF.js layers model");
  expect(report).toMatchObject({ by: "name", missing: [], unexpected: [], wrongShape: [] });

  const { graph } = lower(network, { mode: "inference", batchSize: 2 });
  const session = await nodePlatform.engine.createSession(
    toOnnx(graph, { weights: toEngineWeights(network, weights) }),
  );
  const golden = JSON.parse(readFileSync(join(folder, "outputs.json"), "utf8")) as { outputs: number[][] };
  const pixels = Float32Array.from({ length: 2 * 12 * 10 * 3 }, (_, index) => Math.sin(index * 0.37));
  const results = await session.run({ [imageInput]: floatTensor([2, 12, 10, 3], pixels) });
  await session.dispose();
  const { data } = results[network.output]!;
  for (const [index, expected] of golden.outputs.flat().entries()) expect(data[index]).toBeCloseTo(expected, 6);
});
