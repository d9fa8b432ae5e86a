/**
 * How much memory does a training step take, and what does it cost to compute activations again instead of keeping them?
 * `npx tsx bench/training-memory.ts [size]`, by default 299. Each step runs in a process of its own, for its peak.
 */

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { oneHot } from "../src/data/labels.ts";
import { syntheticImages } from "../src/graph/synthetic.ts";
import { createOptimizer, initializeWeights, softmaxCrossEntropy, TrainingStep, xception } from "../src/index.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { peakMemoryGib, rounded, timeMs, writeResult } from "./measurement.ts";

const [size = 299, batchSize, again] = process.argv.slice(2).map(Number);

interface Measured {
  readonly peakGib: number;
  /** The fastest of two steps after the first. */
  readonly stepMs: number;
}

async function measure(batchSize: number, recompute: boolean): Promise<Measured> {
  const network = xception({ inputShape: [size, size, 3] });
  const step = await TrainingStep.create(network, initializeWeights(network), {
    platform: nodePlatform,
    batchSize,
    optimizer: createOptimizer("adamw"),
    loss: softmaxCrossEntropy,
    recompute,
  });
  const labels = Array.from({ length: batchSize }, (_, index) => index);
  const images = syntheticImages(batchSize, [size, size, 3], 3000);
  const run = () => timeMs(() => step.run({ images, targets: oneHot(labels, 1000, 0), learningRate: 0.001 }));
  await run();
  const stepMs = Math.min(await run(), await run());
  await step.dispose();
  return { peakGib: peakMemoryGib(), stepMs };
}

function measureApart(batchSize: number, recompute: boolean): Measured {
  const program = [...process.execArgv, fileURLToPath(import.meta.url), size, batchSize, Number(recompute)].map(String);
  return JSON.parse(execFileSync(process.execPath, program, { encoding: "utf8" }));
}

if (batchSize !== undefined) {
  console.log(JSON.stringify(await measure(batchSize, again === 1)));
} else {
  const rows = [16, 32].map((batchSize) => {
    const [kept, computed] = [measureApart(batchSize, false), measureApart(batchSize, true)];
    return {
      batchSize,
      "kept, GiB": rounded(kept.peakGib, 2),
      "computed again, GiB": rounded(computed.peakGib, 2),
      "kept, ms per image": rounded(kept.stepMs / batchSize, 0),
      "computed again, ms per image": rounded(computed.stepMs / batchSize, 0),
      "time ÷": rounded(computed.stepMs / kept.stepMs, 2),
    };
  });
  writeResult("training-memory", {
    question: "How much memory does a training step take, and what does it cost to compute activations again?",
    size,
    rows,
  });
}
