/**
 * How much longer is a training step than its large products of matrices alone?
 * `npx tsx bench/training-step.ts [batch] [size]`, by default 8 images of 299×299.
 */

import type { Platform } from "../src/base/platform.ts";
import type { TrainingStep } from "../src/index.ts";
import { plainPlatform } from "../tests/tasks/plain-platform.ts";
import { interleave, median, peakMemoryGib, rounded, writeResult } from "./measurement.ts";
import { trainingCase } from "./training-case.ts";

const [batchSize = 8, size = 299] = process.argv.slice(2).map(Number);
const warmUp = 3;
const steps = 9;
const { input, create } = trainingCase(batchSize, size);

async function warmStep(profile: boolean, platform?: Platform): Promise<TrainingStep> {
  const step = await create({ profile }, platform);
  for (let index = 0; index < warmUp; index++) await step.run(input);
  return step;
}

const plain = await warmStep(false);
const peakGib = peakMemoryGib();
// Recording costs a few microseconds for each operator, so the recorded step is another one, run in turn with the first.
const recorded = await warmStep(true);
// The same step channels first throughout, without the engine's blocks of channels and without parts of batches.
const sketch = await warmStep(true, plainPlatform);
const times = await interleave(
  { plain: () => plain.run(input), recorded: () => recorded.run(input), sketch: () => sketch.run(input) },
  steps,
  0,
);
const events = await recorded.endProfiling();
const sketchEvents = await sketch.endProfiling();
for (const step of [plain, recorded, sketch]) await step.dispose();

/**
 * What a node of the graph does, by its operator and the name of its output (without the part of the batch it belongs to);
 * the first line that fits counts.
 */
const kinds: readonly (readonly [string, RegExp])[] = [
  ["pointwise dW", /^(Fused)?MatMul:d\.(block\d+_sepconv\d\/pointwise_kernel|conv2d)/],
  ["pointwise forward", /^Conv:(block\d+_sepconv\d|conv2d(_\d)?)~channelBlocks/],
  ["pointwise dX", /^Conv:d\..*(\/depthwise~channelBlocks|\/small)/],
  ["ReLU gradient", /\/isPositive|^Mul:d\..*~(channelBlocks|blocks)$/],
  ["stem convolutions, dX and dW", /^Conv:(d\.)?block1_conv[12](~blocks|_act~blocks|\/kernel)/],
  ["stem, the rest", /block1_conv[12](~|\/kernel|_act~blocks)/],
  ["depthwise dW", /^Conv:.*depthwise_kernel\/products/],
  ["depthwise forward and dX", /^Conv:.*\/planes/],
  ["max pooling and gradient", /\/(rows|columns)\/|^MaxPool|_pool/],
  ["batch normalization and gradient", /^(Conv|GlobalAveragePool):/],
  ["change of layout", /^(ReorderInput|ReorderOutput|Transpose|Reshape|Pad|Expand)/],
  ["weight update and small vectors", /./],
];
const perStep = events.length / (warmUp + steps);
/** Milliseconds of each kind in each recorded step. */
const rounds = times.recorded!.map((recordedMs, index) => {
  const totals = new Map(kinds.map(([kind]) => [kind, 0]));
  const first = Math.round(perStep * (warmUp + index));
  for (const { node, durationMs } of events.slice(first, Math.round(first + perStep))) {
    const ofBatch = node.replace(/\/part\d+/g, "");
    const [kind] = kinds.find(([, pattern]) => pattern.test(ofBatch))!;
    totals.set(kind, totals.get(kind)! + durationMs);
  }
  const kernelsMs = [...totals.values()].reduce((sum, ms) => sum + ms, 0);
  const sumOf = (prefix: string) =>
    [...totals].reduce((sum, [kind, ms]) => sum + (kind.startsWith(prefix) ? ms : 0), 0);
  const gemmMs = sumOf("pointwise");
  const withStemMs = gemmMs + sumOf("stem convolutions");
  totals.set("between the operators, recording included", recordedMs - kernelsMs);
  return { totals, gemmMs, withStemMs };
});
/** 1×1 convolutions, dX and dW in the other step; without dX of the shortcuts' strided ones. */
const sketchProduct =
  /^(Conv:(block\d+_sepconv\d|conv2d(_\d)?)|Conv(Transpose)?:d\.block\d+_sepconv\d\/depthwise|(FusedMatMul|Gemm):d\.(block\d+_sepconv\d\/pointwise|conv2d).*)$/;
const perSketchStep = sketchEvents.length / (warmUp + steps);
const sketchGemmMs = times.sketch!.map((_, index) => {
  const first = Math.round(perSketchStep * (warmUp + index));
  const round = sketchEvents.slice(first, Math.round(first + perSketchStep));
  return round.reduce((sum, { node, durationMs }) => sum + (sketchProduct.test(node) ? durationMs : 0), 0);
});
const ratioToSketch = median(sketchGemmMs.map((ms, index) => times.plain![index]! / ms));
const stepMs = median(times.plain!);
const gemmMs = median(rounds.map((round) => round.gemmMs));
const ratio = median(rounds.map((round, index) => times.plain![index]! / round.gemmMs));
/** The stem's two ordinary convolutions are products of matrices too. */
const ratioWithStem = median(rounds.map((round, index) => times.plain![index]! / round.withStemMs));
const parts = [...rounds[0]!.totals.keys()].map((kind) => ({
  kind,
  ms: median(rounds.map(({ totals }) => totals.get(kind)!)),
  share: median(rounds.map(({ totals, gemmMs }) => totals.get(kind)! / gemmMs)),
}));

const perImage = (ms: number) => rounded(ms / batchSize, 0);

writeResult(size === 299 && batchSize === 8 ? "training-step" : `training-step-${size}-${batchSize}`, {
  question: "How much longer is a training step than its large products of matrices alone?",
  batchSize,
  size,
  stepMs: rounded(stepMs, 0),
  gemmMs: rounded(gemmMs, 0),
  ratio: rounded(ratio, 2),
  ratioWithStem: rounded(ratioWithStem, 2),
  channelsFirst: {
    stepMs: rounded(median(times.sketch!), 0),
    gemmMs: rounded(median(sketchGemmMs), 0),
    ratio: rounded(ratioToSketch, 2),
  },
  recordedStepMs: rounded(median(times.recorded!), 0),
  peakMemoryGib: rounded(peakGib, 2),
  rows: [
    { "a training step": "as a whole", "ms per image": perImage(stepMs), "step ÷ this": 1 },
    {
      "a training step": "its 1×1 convolutions and their gradients alone",
      "ms per image": perImage(gemmMs),
      "step ÷ this": rounded(ratio, 2),
    },
    {
      "a training step": "the same products in the usual layout, channels first",
      "ms per image": perImage(median(sketchGemmMs)),
      "step ÷ this": rounded(ratioToSketch, 2),
    },
  ],
  parts: parts
    .toSorted((a, b) => b.ms - a.ms)
    .map(({ kind, ms, share }) => ({ part: kind, msPerStep: rounded(ms, 0), timesGemm: rounded(share, 2) })),
});
console.error(
  `step ${stepMs.toFixed(0)} ms = ${ratio.toFixed(2)} × its GEMM-like operators (${gemmMs.toFixed(0)} ms), ` +
    `${ratioWithStem.toFixed(2)} × with the stem's ordinary convolutions, ` +
    `${ratioToSketch.toFixed(2)} × these operators channels first (${median(sketchGemmMs).toFixed(0)} ms), ` +
    `peak memory ${peakGib.toFixed(2)} GiB`,
);
