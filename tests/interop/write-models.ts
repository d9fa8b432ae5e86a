/**
 * Writes networks in every format that holds them, images, and what ONNX Runtime makes of these, for the scripts beside this
 * one: do the programs whose formats they are load them, and compute the same?
 *
 *     npx tsx tests/interop/write-models.ts FOLDER
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { UsageError } from "../../src/base/errors.ts";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { inputShapeOf } from "../../src/graph/network.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import type { ModelToWrite } from "../../src/model/formats.ts";
import { type TargetName, weightsTargets } from "../../src/model/formats.ts";
import { defaultPreprocessing } from "../../src/model/model.ts";
import type { ModelDescription } from "../../src/model/model-file.ts";
import { type ArchitectureName, architectureNamed, architectureOf, buildNetwork } from "../../src/models/registry.ts";
import type { XceptionOptions } from "../../src/models/xception/options.ts";
import { writeFilesAtomic } from "../../src/runtime/node/files.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { FloatTensor } from "../../src/tensor/tensor.ts";
import { randomModel } from "../formats/random-model.ts";

const small = { inputShape: [75, 71, 3], width: 0.25, classes: 4, middleFlowRepeats: 2 } as const;
const named: readonly [name: string, architecture: ArchitectureName, options: XceptionOptions][] = [
  ["small", "xception", small],
  ["tutorial", "xception", { ...small, variant: "tutorial", dropout: 0.5 }],
  ["plain", "xception", { ...small, residual: false, fcUnits: [16], classifierActivation: "sigmoid" }],
  ["keras-applications", "xception", { inputShape: [299, 299, 3] }],
  ["legacy_xception", "legacy_xception", { inputShape: [86, 101, 3], classes: 11 }],
  ["xception41", "xception41", { inputShape: [86, 101, 3], classes: 11 }],
  ["xception65p", "xception65p", { inputShape: [86, 101, 3], classes: 11 }],
];

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new UsageError({ where: "write-models", what: "there is no folder to write to" });
for (const [name, architectureName, options] of named) {
  const architecture = architectureNamed(architectureName, options);
  const labels = Array.from({ length: options.classes ?? 1000 }, (_, index) => `class ${index}`);
  await write(name, { architecture, labels, preprocessing: defaultPreprocessing }, architectureName);
}
const random = fc.sample(randomModel, { numRuns: 30, seed: 5 }).filter(({ network }) => network.layers.length > 2);
for (const [index, { network }] of random.entries())
  await write(`random-${index}`, { architecture: architectureOf(network) });

async function write(name: string, about: ModelDescription, architecture?: ArchitectureName): Promise<void> {
  const network = buildNetwork(about.architecture);
  const model = { ...about, network, weights: syntheticWeights(network) };
  const written: string[] = [];
  for (const to of Object.keys(weightsTargets) as TargetName[]) {
    // Each format in a folder of its own, since they share endings.
    const file = join(folder!, name, to, `model${weightsTargets[to].extension}`);
    mkdirSync(dirname(file), { recursive: true });
    try {
      const { bytes, beside } = await weightsTargets[to].write(model, { savedAt: new Date(0), storedAs: "float32" });
      await writeFilesAtomic(file, bytes, beside);
      written.push(to);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
    }
  }
  const images = syntheticImages(2, inputShapeOf(network) as readonly [number, number, number]);
  const { shape, data } = await answers(model, images);
  writeFileSync(join(folder!, name, "images.f32"), images.data);
  writeFileSync(join(folder!, name, "answers.f32"), data);
  writeFileSync(
    join(folder!, name, "about.json"),
    JSON.stringify({ architecture, images: images.shape, answers: shape }),
  );
  console.log(`${name}: ${written.join(", ")}`);
}

async function answers({ network, weights }: ModelToWrite, images: FloatTensor): Promise<FloatTensor> {
  const { graph } = lower(network, { mode: "inference", batchSize: 2 });
  const session = await nodePlatform.engine.createSession(
    toOnnx(graph, { weights: toEngineWeights(network, weights) }),
  );
  const outputs = await session.run({ images: images });
  await session.dispose();
  return outputs[network.output] as FloatTensor;
}
