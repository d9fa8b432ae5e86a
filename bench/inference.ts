/**
 * How fast is inference of Xception at 299×299 in float32, against the machine's peak (a product of two 1024×1024 matrices in the
 * same engine) and others? Interleaved, 1 and 8 images in a batch.
 * `npx tsx bench/inference.ts`; with `npm ci --prefix bench/peers` before it, TensorFlow.js takes part.
 */
import { existsSync } from "node:fs";
import { compile } from "../src/compiler/compile.ts";
import { toOnnx } from "../src/compiler/onnx/onnx.ts";
import { networkCost } from "../src/graph/cost.ts";
import type { Network } from "../src/graph/network.ts";
import { OpGraphBuilder } from "../src/graph/op-builder.ts";
import { initializeWeights, xception } from "../src/index.ts";
import { defaultPreprocessing } from "../src/model/model.ts";
import { loadPredictor } from "../src/model/predictor.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { mulberry32 } from "../src/tensor/random.ts";
import { floatTensor } from "../src/tensor/tensor.ts";
import { interleave, median, rounded, writeResult } from "./measurement.ts";

type TfjsInference = (network: Network) => Promise<(pixels: Uint8Array) => Promise<unknown>>;

const rounds = 20;
const side = 1024;
const random = mulberry32(1);

const network = xception();
const weights = initializeWeights(network);
const preprocessing = defaultPreprocessing;
const ours = await loadPredictor({ network, weights, preprocessing }, nodePlatform);
// The graph as another tool would export it, left to the engine's own optimizations.
const exported = await nodePlatform.engine.createSession(compile(network, weights, { form: "exact", preprocessing }));
const batches = [1, 8].map((count) => {
  const data = Uint8Array.from({ length: count * 299 * 299 * 3 }, () => Math.floor(random() * 256));
  return { type: "uint8", shape: [count, 299, 299, 3], data } as const;
});
const macs = networkCost(network).total.multiplications;
const rows = [];

for (const images of batches) {
  const count = images.shape[0];
  const runs: Record<string, () => Promise<unknown>> = {
    "xception-ts": () => ours.run(images),
    "onnxruntime-node alone": () => exported.run({ images }),
  };
  if (count === 1 && existsSync(new URL("./peers/node_modules", import.meta.url))) {
    // A package of its own, which the project's compiler does not see.
    const tfjsModule = new URL("./peers/tfjs.ts", import.meta.url).href;
    const { tfjsInference }: { tfjsInference: TfjsInference } = await import(tfjsModule);
    const tfjs = await tfjsInference(network);
    runs["TensorFlow.js 4.22, wasm"] = () => tfjs(images.data);
  }
  const times = await interleave(runs, rounds);
  const [baseline] = Object.values(times);
  for (const [engine, ms] of Object.entries(times)) {
    rows.push({
      engine,
      images: count,
      ms: rounded(median(ms), 1),
      "GFLOP/s": rounded((2 * macs * count) / median(ms) / 1e6, 0),
      "× ours": rounded(median(ms.map((each, round) => each / baseline![round]!)), 2),
    });
  }
}

const build = new OpGraphBuilder();
const factors = ["a", "b"].map((name) => build.input(name, [side, side]));
build.output("product", build.op({ kind: "matMul", transposeA: false, transposeB: false }, factors));
const matMul = await nodePlatform.engine.createSession(toOnnx(build.finish()));
const noise = () =>
  floatTensor(
    [side, side],
    Float32Array.from({ length: side * side }, () => random() - 0.5),
  );
const matrices = { a: noise(), b: noise() };
const [image] = batches;
const peak = await interleave({ matMul: () => matMul.run(matrices), inference: () => ours.run(image!) }, rounds);
const matMulRate = (2 * side ** 3) / median(peak.matMul!) / 1e6;
const inferenceRate = (2 * macs) / median(peak.inference!) / 1e6;
writeResult("inference", {
  question: "How fast is inference of Xception at 299×299, against the machine's peak and others?",
  matMulGflops: rounded(matMulRate, 0),
  shareOfMatMulRate: rounded(inferenceRate / matMulRate, 2),
  rows,
});
await ours.dispose();
await exported.dispose();
await matMul.dispose();
