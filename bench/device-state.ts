/**
 * What does it save to leave weights on the device between steps, instead of handing them out and in?
 * `npx tsx bench/device-state.ts [size] [width]`, by default 71×71 and a width of 0.25; needs WebGPU (`xception doctor`).
 */

import type { Platform } from "../src/base/platform.ts";
import { oneHot } from "../src/data/labels.ts";
import { countParameters, networkWeights } from "../src/graph/network.ts";
import { syntheticImages } from "../src/graph/synthetic.ts";
import { createOptimizer, initializeWeights, softmaxCrossEntropy, TrainingStep, xception } from "../src/index.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { interleave, median, rounded, writeResult } from "./measurement.ts";

const [size = 71, width = 0.25] = process.argv.slice(2).map(Number);
const rounds = 5;
const network = xception({ inputShape: [size, size, 3], width, middleFlowRepeats: 0 });
const input = { images: syntheticImages(1, [size, size, 3], 3000), targets: oneHot([1], 1000, 0), learningRate: 0.01 };

/** An engine that hands out everything. */
const forgetful: Platform = {
  ...nodePlatform,
  engine: {
    ...nodePlatform.engine,
    createSession: (model, { keep, ...rest } = {}) => nodePlatform.engine.createSession(model, rest),
  },
};

const stepOn = (platform: Platform) =>
  TrainingStep.create(network, initializeWeights(network), {
    platform,
    session: { device: "webgpu" },
    batchSize: 1,
    optimizer: createOptimizer("adamw"),
    loss: softmaxCrossEntropy,
  });

const [kept, handed] = [await stepOn(nodePlatform), await stepOn(forgetful)];
const times = await interleave({ kept: () => kept.run(input), handed: () => handed.run(input) }, rounds);
const fetched = await interleave({ fetched: () => kept.run(input).then(() => kept.fetch()) }, rounds);
await Promise.all([kept.dispose(), handed.dispose()]);

const ms = { kept: median(times.kept!), handed: median(times.handed!), fetched: median(fetched.fetched!) };
const { total } = countParameters(networkWeights(network));
writeResult("device-state", {
  question: "What does it save to leave weights on the device between steps?",
  device: "webgpu",
  size,
  width,
  parameters: total,
  rounds,
  ratio: rounded(median(times.kept!.map((each, round) => each / times.handed![round]!)), 2),
  rows: [
    { state: "handed out and in", "ms per step": rounded(ms.handed, 0) },
    { state: "left on the device", "ms per step": rounded(ms.kept, 0) },
    { state: "left there, fetched after each step", "ms per step": rounded(ms.fetched, 0) },
  ],
});
