import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { imageInput, lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import { openModel } from "../../src/model/open-weights.ts";
import { convert, loadClassifier, nodePlatform } from "../../src/node.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

test.each([
  ["small-tfjs", 3],
  ["small-tfjs-gray", 1],
])("a layers model that TF.js has written gives TF.js's outputs: %s", async (name, channels) => {
  const folder = join(root, "tests/golden/formats", name);
  const { network, weights, report, format } = await openModel(join(folder, "model.json"), nodePlatform);
  expect(format).toBe("TF.js layers model");
  expect(report).toMatchObject({ by: "name", missing: [], unexpected: [], wrongShape: [] });

  const { graph } = lower(network, { mode: "inference", batchSize: 2 });
  const session = await nodePlatform.engine.createSession(
    toOnnx(graph, { weights: toEngineWeights(network, weights) }),
  );
  const golden = JSON.parse(readFileSync(join(folder, "outputs.json"), "utf8")) as { outputs: number[][] };
  const pixels = Float32Array.from({ length: 2 * 12 * 10 * channels }, (_, index) => Math.sin(index * 0.37));
  const results = await session.run({ [imageInput]: floatTensor([2, 12, 10, channels], pixels) });
  await session.dispose();
  const { data } = results[network.output]!;
  for (const [index, expected] of golden.outputs.flat().entries()) expect(data[index]).toBeCloseTo(expected, 6);
});

test("a grayscale model of TF.js classifies RGB images by their luma, as it is and converted", async () => {
  const path = join(root, "tests/golden/formats/small-tfjs-gray/model.json");
  const golden = JSON.parse(readFileSync(join(path, "../outputs.json"), "utf8")) as { outputs: number[][] };
  // Gray pixels of the values that TF.js was given, to the nearest of 256 levels from −1 to 1.
  const levels = Uint8Array.from({ length: 120 }, (_, index) => Math.round((Math.sin(index * 0.37) + 1) * 127.5));
  const photo = {
    width: 10,
    height: 12,
    data: Uint8Array.from({ length: 360 }, (_, at) => levels[Math.floor(at / 3)]!),
  };
  const { bytes } = await convert(path, { to: "onnx" });
  for (const source of [path, bytes]) {
    await using classifier = await loadClassifier(source);
    const found = await classifier.classify(photo);
    for (const { index, probability } of found) expect(probability).toBeCloseTo(golden.outputs[0]![index]!, 2);
  }
});
