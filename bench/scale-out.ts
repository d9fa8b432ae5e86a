/**
 * How do several processes scale? Xception on two cores: by one process with one of them, by one with both, and by two with
 * one each, all with the same images in a step, in turn. From it, and from the paper's figures, what 60 processes would
 * reach on networks of several kinds. `npx tsx bench/scale-out.ts [size] [images in a step] [rounds]`; needs `mpirun`.
 */

import { execFileSync } from "node:child_process";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { oneHot } from "../src/data/labels.ts";
import { syntheticImages } from "../src/graph/synthetic.ts";
import { createOptimizer, initializeWeights, softmaxCrossEntropy, TrainingStep, xception } from "../src/index.ts";
import { joinMpi } from "../src/runtime/node/mpi.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { averageOverRanks } from "../src/train/ranks/ranks.ts";
import { median, type Row, rounded, writeResult } from "./measurement.ts";
import { simulate, volumeOfStep } from "./scale-out-model.ts";

const warmUp = 1;
const steps = 4;

/** Medians over the steps, in milliseconds. */
interface Measured {
  readonly step: number;
  /** Until the others have come to the exchange of gradients, too. */
  readonly wait: number;
  /** Of gradients; messages of synchronized normalization count as part of the step. */
  readonly exchange: number;
}

const words = process.argv.slice(2);
if (words[0] === "rank") await measureRank(words.slice(1).map(Number) as [number, number, number, number]);
else compare(Number(words[0] ?? 299), Number(words[1] ?? 8), Number(words[2] ?? 2));

/** One of the processes: trains some steps, and prints what they took if it is rank 0. */
async function measureRank([size, batchSize, threads, synchronized]: [number, number, number, number]): Promise<void> {
  const communicator = await joinMpi();
  const network = xception({ inputShape: [size, size, 3], classes: 1000 });
  const average = averageOverRanks(communicator);
  const [waits, exchanges, times]: [number[], number[], number[]] = [[], [], []];
  const timed = async (buffer: Float32Array) => {
    // Small messages are those of normalization.
    if (buffer.length < 1_000_000) return average(buffer);
    const start = performance.now();
    communicator.sum(new Float32Array(1));
    const allAreThere = performance.now();
    await average(buffer);
    waits.push(allAreThere - start);
    exchanges.push(performance.now() - allAreThere);
  };
  const step = await TrainingStep.create(network, initializeWeights(network), {
    platform: nodePlatform,
    session: { threads },
    batchSize,
    optimizer: createOptimizer("sgd", { momentum: 0.9 }),
    loss: softmaxCrossEntropy,
    synchronizeBatchNormalization: synchronized === 1,
    ...(communicator.size > 1 && { reduce: timed }),
  });
  const labels = Array.from({ length: batchSize }, (_, index) => index);
  const input = {
    images: syntheticImages(batchSize, [size, size, 3], 3000),
    targets: oneHot(labels, 1000, 0),
    learningRate: 0.001,
  };
  for (let index = 0; index < warmUp + steps; index++) {
    const start = performance.now();
    await step.run(input);
    times.push(performance.now() - start);
  }
  const [stepMs, wait, exchange] = [times, waits, exchanges].map((each) => median(each.slice(warmUp)) ?? 0);
  if (communicator.rank === 0) process.stdout.write(`${JSON.stringify({ step: stepMs, wait, exchange })}\n`);
  await step.dispose();
  communicator.dispose();
}

function compare(size: number, images: number, rounds: number): void {
  const loadBefore = rounded(loadavg()[0]!, 1);
  const alternatives = {
    "1 process, 1 thread": [1, images, 1, 0],
    "1 process, 2 threads": [1, images, 2, 0],
    "2 processes, 1 thread each": [2, images / 2, 1, 0],
    "2 processes, 1 thread each, synchronized normalization": [2, images / 2, 1, 1],
  } as const;
  const names = Object.keys(alternatives) as (keyof typeof alternatives)[];
  const results: Measured[][] = names.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, name] of names.entries()) {
      const [ranks, batchSize, threads, synchronized] = alternatives[name];
      results[index]!.push(runRanks(ranks, [size, batchSize, threads, synchronized]));
    }
  }
  // Other work beside it only ever slows a step down, and processes that wait for each other most of all.
  const best = results.map((measured) => measured.toSorted((a, b) => a.step - b.step)[0]!);
  const [alone, threaded, twoProcesses] = best as [Measured, Measured, Measured, Measured];
  const rows = best.map(({ step, wait, exchange }, index): Row => {
    return {
      processes: names[index]!,
      "step ms": rounded(step, 0),
      "wait ms": rounded(wait, 0),
      "exchange ms": rounded(exchange, 0),
      "images/s": rounded((1000 * images) / step, 2),
      speed: rounded(alone.step / step, 2),
    };
  });
  const volume = volumeOfStep();
  const own = twoProcesses.step - twoProcesses.wait - twoProcesses.exchange;
  const simulation = simulate(volume, {
    // The paper's 28 steps/s are of all 60 cards together; which batch they are of it does not say.
    "K80, if 28 steps/s are of all cards, one step each time": 1000 / 28,
    "K80, if 28 steps/s are the sum over the cards": 60_000 / 28,
    [`a core of this machine, ${images / 2} images of ${size}×${size}`]: own,
    [`two cores of this machine, ${images} images of ${size}×${size}`]: threaded.step,
  });
  writeResult("scale-out", {
    question: "How do several processes scale?",
    size,
    imagesInStep: images,
    rounds,
    steps,
    loadBefore,
    volume,
    /** The best round of each: medians over its steps. */
    rows,
    allRounds: Object.fromEntries(
      names.map((name, index) => [name, results[index]!.map(({ step }) => rounded(step, 0))]),
    ),
    simulation,
  });
  console.table(simulation);
}

function runRanks(ranks: number, task: readonly number[]): Measured {
  const program = fileURLToPath(import.meta.url);
  const command = ["-n", String(ranks), process.execPath, "--import", "tsx", program, "rank", ...task.map(String)];
  return JSON.parse(execFileSync("mpirun", command, { encoding: "utf8" })) as Measured;
}
