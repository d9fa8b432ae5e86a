/**
 * How much faster is int8 than float32 on this CPU, how large is the file, and how long does calibration take? One image, on one
 * thread and on all cores, alternating.
 * `npx tsx bench/quantize.ts [model.onnx] [rounds]`; by default an untrained Xception at 299×299, whose speed is that of a trained one.
 */
import { availableParallelism } from "node:os";
import { compile } from "../src/compiler/compile.ts";
import { imageSizeOf } from "../src/graph/network.ts";
import { initializeWeights, xception } from "../src/index.ts";
import { loadModel } from "../src/model/load-model.ts";
import { defaultPreprocessing } from "../src/model/model.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { calibrate, foldedGraph } from "../src/tasks/quantize/calibration.ts";
import { saturates } from "../src/tasks/quantize/speed.ts";
import { mulberry32 } from "../src/tensor/random.ts";
import { interleave, median, type Row, rounded, timeMs, writeResult } from "./measurement.ts";

const [file, roundsText = "15"] = process.argv.slice(2);
const untrained = () => {
  const network = xception();
  return { network, weights: initializeWeights(network), preprocessing: defaultPreprocessing };
};
const model = file === undefined ? untrained() : await loadModel(file, nodePlatform);
const { network, weights, preprocessing } = model;
const [height, width] = imageSizeOf(network);
const random = mulberry32(1);
const noise = () => Uint8Array.from({ length: height * width * 3 }, () => Math.floor(random() * 256));
const photos = Array.from({ length: 8 }, (_, index) => ({ name: `${index}`, image: { width, height, data: noise() } }));
const calibrated = () => calibrate(model, foldedGraph(model), photos, { platform: nodePlatform, method: "mse" });
const { activations } = await calibrated();

const float = compile(network, weights, { form: "inference", preprocessing });
const forms = { "8 bits": 8, "7 bits": 7 } as const;
const integers = Object.entries(forms).map(([name, weightBits]) => {
  const quantization = { weightBits, activations, floatLayers: [] };
  return [name, compile(network, weights, { form: "int8", preprocessing, quantization })] as const;
});
const images = { images: { type: "uint8", shape: [1, height, width, 3], data: noise() } } as const;
const rows: Row[] = [];
let inferenceMs = 0;
for (const threads of new Set([1, availableParallelism()])) {
  const named = [["float32", float] as const, ...integers];
  const sessions = await Promise.all(
    named.map(async ([name, graph]) => [name, await nodePlatform.engine.createSession(graph, { threads })] as const),
  );
  const runs = Object.fromEntries(sessions.map(([name, session]) => [name, () => session.run(images)]));
  const times = await interleave(runs, Number(roundsText), 3);
  for (const [, session] of sessions) await session.dispose();
  inferenceMs = median(times.float32!);
  for (const [name] of integers) {
    // Quotients of neighbors: the machine may be busy for some of them.
    const quotients = times.float32!.map((each, round) => each / times[name]![round]!);
    const [floatMs, integerMs] = [inferenceMs, median(times[name]!)].map((each) => rounded(each, 1)) as [
      number,
      number,
    ];
    rows.push({
      threads,
      weights: name,
      "float32 ms": floatMs,
      "int8 ms": integerMs,
      "times faster": rounded(median(quotients), 2),
    });
  }
}
const calibrationMs = (await timeMs(calibrated)) / photos.length;
writeResult("quantize", {
  question: "How much faster is int8 than float32 on this CPU?",
  network: `${network.name} ${height}×${width}`,
  saturates: await saturates(nodePlatform),
  megabytes: { float32: rounded(float.length / 1e6, 1), int8: rounded(integers[0]![1].length / 1e6, 1) },
  calibrationOfAnImage: { ms: rounded(calibrationMs, 0), timesInference: rounded(calibrationMs / inferenceMs, 1) },
  rows,
});
