/**
 * Writes networks in every format that holds them, pictures, and what ONNX Runtime makes of these, for the scripts beside this
 * one: do the programs whose formats they are load them, and compute the same?
 *
 *     npx tsx tests/interop/write-models.ts FOLDER
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { UsageError } from "../../src/errors.ts";
import type { Network } from "../../src/graph/network.ts";
import { buildNetwork } from "../../src/models/architecture.ts";
import { type ArchitectureName, architectureNamed } from "../../src/models/architecture-names.ts";
import type { XceptionOptions } from "../../src/models/xception-options.ts";
import { nodePlatform } from "../../src/runtime/node.ts";
import { writeFilesAtomic } from "../../src/runtime/node-files.ts";
import { defaultPreprocessing } from "../../src/tasks/model/model.ts";
import { type TargetName, weightsTargets } from "../../src/tasks/weights/weights-targets.ts";
import { toEngineWeights } from "../../src/weights/engine-weights.ts";
import { formulaImages, formulaWeights } from "../../src/weights/formula.ts";
import type { Weights } from "../../src/weights/initialize.ts";

const small = { inputShape: [75, 71, 3], width: 0.25, classes: 4, middleFlowRepeats: 2 } as const;
const models: readonly [name: string, architecture: ArchitectureName, options: XceptionOptions][] = [
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
for (const [name, architectureName, options] of models) {
  const architecture = architectureNamed(architectureName, options);
  const network = buildNetwork(architecture);
  const weights = formulaWeights(network);
  const classes = options.classes ?? 1000;
  const labels = Array.from({ length: classes }, (_, index) => `class ${index}`);
  const model = { architecture, network, weights, labels, preprocessing: defaultPreprocessing };
  mkdirSync(join(folder, name), { recursive: true });
  const written: string[] = [];
  for (const to of Object.keys(weightsTargets) as TargetName[]) {
    // Of one format to each folder, since endings are shared.
    const file = join(folder, name, to, `model${weightsTargets[to].extension}`);
    try {
      const { bytes, beside } = await weightsTargets[to].write(model, { savedAt: new Date(0), storedAs: "float32" });
      mkdirSync(join(folder, name, to), { recursive: true });
      await writeFilesAtomic(file, bytes, beside);
      written.push(to);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
    }
  }
  const pictures = formulaImages(2, options.inputShape!);
  writeFileSync(join(folder, name, "pictures.f32"), pictures.data);
  writeFileSync(join(folder, name, "answers.f32"), await answers(network, weights, pictures));
  const shapes = { pictures: pictures.shape, answers: [2, classes] };
  writeFileSync(join(folder, name, "about.json"), JSON.stringify({ architecture: architectureName, ...shapes }));
  console.log(`${name}: ${written.join(", ")}`);
}

async function answers(network: Network, weights: Weights, pictures: ReturnType<typeof formulaImages>) {
  const { graph } = lower(network, { mode: "inference", batchSize: 2 });
  const session = await nodePlatform.createSession(toOnnx(graph, { weights: toEngineWeights(network, weights) }));
  const outputs = await session.run({ images: pictures });
  await session.dispose();
  return outputs[network.output]!.data as Float32Array;
}
