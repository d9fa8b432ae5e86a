/**
 * How do several processes scale? Xception on this machine's cores, by one process with all of them and by two with half of
 * them each (same pictures in a step), in turn; and from it, and from the paper's figures, what 60 processes would reach on
 * networks of several kinds. `npx tsx bench/scale-out.ts [size] [pictures in a step] [rounds]`; needs `mpirun`.
 */

import { execFileSync } from "node:child_process";
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { stagesOf } from "../src/compiler/stages.ts";
import { createOptimizer, initializeWeights, softmaxCrossEntropy, TrainingStep, xception } from "../src/index.ts";
import { nodePlatform } from "../src/runtime/node.ts";
import { joinMpi } from "../src/runtime/node-mpi.ts";
import { averageOverRanks } from "../src/tasks/ranks.ts";
import { splitTrainingGraph } from "../src/tasks/training-graph.ts";
import { sizeOf } from "../src/tensor/shape.ts";
import { floatTensor } from "../src/tensor/tensor.ts";
import { formulaImages } from "../src/weights/formula.ts";
import { median, type Row, rounded, writeResult } from "./measurement.ts";

const warmUp = 2;
const steps = 4;
const optimizer = createOptimizer("sgd");

interface Measured {
  readonly stepMs: number;
  readonly exchangeMs: number;
}

const words = process.argv.slice(2);
if (words[0] === "rank") await measureRank(words.slice(1).map(Number) as [number, number, number, number]);
else compare(Number(words[0] ?? 150), Number(words[1] ?? 8), Number(words[2] ?? 2));

/** One of the processes: trains some steps, and prints what they took if it is rank 0. */
async function measureRank([size, batchSize, threads, synchronized]: [number, number, number, number]): Promise<void> {
  const communicator = await joinMpi();
  const network = xception({ inputShape: [size, size, 3], classes: 1000 });
  const exchanges: number[] = [];
  const average = averageOverRanks(communicator);
  const step = await TrainingStep.create(network, initializeWeights(network), {
    platform: nodePlatform,
    session: { threads },
    batchSize,
    optimizer,
    loss: softmaxCrossEntropy,
    synchronizeBatchNormalization: synchronized === 1,
    ...(communicator.size > 1 && {
      reduce: async (buffer: Float32Array) => {
        // All have come, so that what is measured is the exchange and not the wait.
        communicator.sum(new Float32Array(1));
        const start = performance.now();
        await average(buffer);
        exchanges.push(performance.now() - start);
      },
    }),
  });
  const targets = floatTensor([batchSize, 1000]);
  for (let row = 0; row < batchSize; row++) targets.data[row * 1000 + row] = 1;
  const input = { images: formulaImages(batchSize, [size, size, 3]), targets, learningRate: 0.001 };
  const times: number[] = [];
  let exchangesBefore = 0;
  for (let index = -warmUp; index < steps; index++) {
    if (index === 0) exchangesBefore = exchanges.length;
    const start = performance.now();
    await step.run(input);
    if (index >= 0) times.push(performance.now() - start);
  }
  const exchangeMs = exchanges.slice(exchangesBefore).reduce((sum, each) => sum + each, 0) / steps;
  if (communicator.rank === 0) process.stdout.write(`${JSON.stringify({ stepMs: median(times), exchangeMs })}\n`);
  await step.dispose();
  communicator.dispose();
}

function compare(size: number, pictures: number, rounds: number): void {
  const cores = availableParallelism();
  const loadBefore = rounded(loadavg()[0]!, 1);
  const half = Math.max(1, Math.floor(cores / 2));
  const alternatives = {
    [`1 process, ${cores} threads`]: [1, pictures, cores, 0],
    [`2 processes, ${half} thread each`]: [2, pictures / 2, half, 0],
    [`2 processes, ${half} thread each, synchronized normalization`]: [2, pictures / 2, half, 1],
  } as const;
  const results: Record<string, Measured[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, [ranks, batchSize, threads, synchronized]] of Object.entries(alternatives)) {
      const measured = runRanks(ranks, [size, batchSize, threads, synchronized]);
      results[name] = [...(results[name] ?? []), measured];
    }
  }
  const [alone] = Object.values(results) as [Measured[]];
  const rows = Object.entries(results).map(([name, measured]): Row => {
    const stepMs = median(measured.map((each) => each.stepMs));
    return {
      processes: name,
      "step ms": rounded(stepMs, 0),
      "exchange ms": rounded(median(measured.map(({ exchangeMs }) => exchangeMs)), 0),
      "pictures/s": rounded((1000 * pictures) / stepMs, 2),
      ratio: rounded(median(measured.map((each, round) => alone[round]!.stepMs / each.stepMs)), 2),
    };
  });
  const volume = volumeOfStep();
  writeResult("scale-out", {
    question: "How do several processes scale?",
    size,
    picturesInStep: pictures,
    rounds,
    steps,
    // Above 0 where other work was beside it: processes that wait for each other suffer more from that than one alone.
    loadBefore,
    volume,
    rows,
    simulation: simulate(volume),
  });
  console.table(simulate(volume));
}

function runRanks(ranks: number, task: readonly number[]): Measured {
  const program = fileURLToPath(import.meta.url);
  const command = ["-n", String(ranks), process.execPath, "--import", "tsx", program, "rank", ...task.map(String)];
  return JSON.parse(execFileSync("mpirun", command, { encoding: "utf8" })) as Measured;
}

interface Volume {
  /** Of the one message of each step. */
  readonly bytes: number;
  /** Of synchronized normalization: messages within a step, and their bytes together. */
  readonly messagesWithin: number;
  readonly bytesWithin: number;
}

/** What a step of Xception exchanges, whatever the pictures' size. */
function volumeOfStep(): Volume {
  const network = xception({});
  const graph = (synchronizeBatchNormalization: boolean) =>
    splitTrainingGraph(network, { batchSize: 1, optimizer, loss: softmaxCrossEntropy, synchronizeBatchNormalization });
  const floats = graph(false).exchanged.reduce((sum, { shape }) => sum + sizeOf(shape), 1);
  const within = stagesOf(graph(true).forward).filter(({ exchanged }) => exchanged.length > 0);
  const floatsWithin = within
    .flatMap(({ exchanged }) => exchanged)
    .reduce((sum, { local }) => sum + sizeOf(local.shape), 0);
  return { bytes: 4 * floats, messagesWithin: within.length, bytesWithin: 4 * floatsWithin };
}

/**
 * Share of the time that 60 processes compute, when nothing overlaps: step / (step + exchange). The exchange is a ring:
 * 2(N − 1)/N · bytes / bandwidth + 2(N − 1) · latency; within a step, where messages are small, they go by doubling:
 * 2·⌈log₂ N⌉ · latency + 2 · bytes / bandwidth for each.
 */
function simulate({ bytes, messagesWithin, bytesWithin }: Volume): readonly Row[] {
  const ranks = 60;
  // Seconds of a step. The paper's 28 steps/s are of all 60 cards together; which batch they are of it does not say.
  const stepSeconds = {
    "K80, if 28 steps/s are of all cards, one step each time": 1 / 28,
    "K80, if 28 steps/s are the sum over the cards": 60 / 28,
  };
  const networks = {
    "1 Gbit/s, 50 µs": { bytesPerSecond: 1e9 / 8, latency: 50e-6 },
    "10 Gbit/s, 50 µs": { bytesPerSecond: 10e9 / 8, latency: 50e-6 },
    "100 Gbit/s, 2 µs": { bytesPerSecond: 100e9 / 8, latency: 2e-6 },
  };
  return Object.entries(stepSeconds).flatMap(([step, seconds]) =>
    Object.entries(networks).map(([network, { bytesPerSecond, latency }]): Row => {
      const exchange = ((2 * (ranks - 1)) / ranks) * (bytes / bytesPerSecond) + 2 * (ranks - 1) * latency;
      const within = messagesWithin * 2 * Math.ceil(Math.log2(ranks)) * latency + (2 * bytesWithin) / bytesPerSecond;
      return {
        step,
        network,
        "step ms": rounded(1000 * seconds, 0),
        "exchange ms": rounded(1000 * exchange, 0),
        efficiency: rounded(seconds / (seconds + exchange), 2),
        "efficiency, synchronized normalization": rounded(seconds / (seconds + exchange + within), 2),
      };
    }),
  );
}
