/**
 * How close is inference to the peak of the machine? One image of 299×299 in float32, against a product of two
 * 1024×1024 matrices through the same engine, in turn.
 * `npx tsx bench/inference.ts`; with `npm ci --prefix bench/peers` before it, TensorFlow.js takes part.
 */
import { existsSync } from "node:fs";
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

const side = 1024;
const build = new OpGraphBuilder();
const factors = ["a", "b"].map((name) => build.input(name, [side, side]));
build.output("product", build.op({ kind: "matMul", transposeA: false, transposeB: false }, factors));
const matMul = await nodePlatform.engine.createSession(toOnnx(build.finish()));
const random = mulberry32(1);
const noise = () =>
  floatTensor(
    [side, side],
    Float32Array.from({ length: side * side }, () => random() - 0.5),
  );
const matrices = { a: noise(), b: noise() };

const network = xception();
const model = { network, weights: initializeWeights(network), preprocessing: defaultPreprocessing };
const inference = await loadPredictor(model, nodePlatform);
const pixels = Uint8Array.from({ length: 299 * 299 * 3 }, () => Math.floor(random() * 256));
const images = { type: "uint8", shape: [1, 299, 299, 3], data: pixels } as const;

const macs = networkCost(network).total.multiplications;
const times = await interleave({ matMul: () => matMul.run(matrices), inference: () => inference.run(images) }, 30, 5);
const matMulMs = median(times.matMul!);
const inferenceMs = median(times.inference!);
const matMulRate = (2 * side ** 3) / matMulMs / 1e6;
const inferenceRate = (2 * macs) / inferenceMs / 1e6;
const rows = [
  { what: "MatMul 1024×1024×1024", ms: rounded(matMulMs, 2), "GFLOP/s": rounded(matMulRate, 0) },
  { what: "Xception 299×299, batch 1", ms: rounded(inferenceMs, 1), "GFLOP/s": rounded(inferenceRate, 0) },
];

let timesFaster: number | undefined;
if (existsSync(new URL("./peers/node_modules", import.meta.url))) {
  // A package of its own, which the project's compiler does not see.
  const tfjsModule = new URL("./peers/tfjs.ts", import.meta.url).href;
  const { tfjsInference }: { tfjsInference: TfjsInference } = await import(tfjsModule);
  const tfjs = await tfjsInference(network);
  const both = await interleave({ ours: () => inference.run(images), tfjs: () => tfjs(pixels) }, 5, 2);
  const tfjsMs = median(both.tfjs!);
  timesFaster = rounded(tfjsMs / median(both.ours!), 1);
  rows.push({
    what: "the same in TensorFlow.js 4.22, wasm",
    ms: rounded(tfjsMs, 0),
    "GFLOP/s": rounded((2 * macs) / tfjsMs / 1e6, 0),
  });
}
writeResult("inference", {
  question: "How close is inference to the peak of the machine?",
  shareOfMatMulRate: rounded(inferenceRate / matMulRate, 2),
  ...(timesFaster !== undefined && { timesFasterThanTfjsWasm: timesFaster }),
  rows,
});
console.error(`inference runs at ${((100 * inferenceRate) / matMulRate).toFixed(0)} % of the rate of MatMul`);
await inference.dispose();
await matMul.dispose();
