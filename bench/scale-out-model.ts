import { stagesOf } from "../src/compiler/stages.ts";
import { createOptimizer, softmaxCrossEntropy, xception } from "../src/index.ts";
import { bucketLength } from "../src/runtime/node/mpi.ts";
import { sizeOf } from "../src/tensor/shape.ts";
import { splitTrainingGraph } from "../src/train/step/training-graph.ts";
import { type Row, rounded } from "./measurement.ts";

/** What a step of Xception exchanges, whatever the images' size and their number. */
export interface Volume {
  /** Of a step: 4 for each gradient, each batch mean and variance, and the loss. */
  readonly bytes: number;
  /** Of synchronized normalization: messages within a step, and their bytes together. */
  readonly messagesWithin: number;
  readonly bytesWithin: number;
}

/** Counted in the graphs that are run. */
export function volumeOfStep(): Volume {
  const network = xception({});
  const given = { batchSize: 1, optimizer: createOptimizer("sgd"), loss: softmaxCrossEntropy };
  const graph = (synchronizeBatchNormalization: boolean) =>
    splitTrainingGraph(network, { ...given, synchronizeBatchNormalization });
  const floats = graph(false).exchanged.reduce((sum, { shape }) => sum + sizeOf(shape), 1);
  const within = stagesOf(graph(true).forward).filter(({ exchanged }) => exchanged.length > 0);
  const floatsWithin = within
    .flatMap(({ exchanged }) => exchanged)
    .reduce((sum, { local }) => sum + sizeOf(local.shape), 0);
  return { bytes: 4 * floats, messagesWithin: within.length, bytesWithin: 4 * floatsWithin };
}

/** Processes of the paper: 60 GPUs. */
const ranks = 60;

/** Each process has a link of its own of this speed, both ways at once; a message takes the latency besides. */
const networks = {
  "10 Gbit/s, 50 µs": { bytesPerSecond: 10e9 / 8, latency: 50e-6 },
  "25 Gbit/s, 20 µs": { bytesPerSecond: 25e9 / 8, latency: 20e-6 },
  "100 Gbit/s, 2 µs": { bytesPerSecond: 100e9 / 8, latency: 2e-6 },
} as const;

/** Of a training step's work, forward and backward; the gradients of a layer take twice what the layer took. */
const backwardShare = 2 / 3;

/**
 * Share of the time that 60 processes compute: step / (step + exchange), where nothing overlaps, as it is done here. The
 * exchange is a ring: 2(N − 1)/N · bytes / bandwidth + 2(N − 1) · latency for each bucket. Within a step, where messages are small, they go
 * by doubling: 2·⌈log₂ N⌉ · latency for each, + 2 · bytes / bandwidth. At best, with overlap, gradients would travel from
 * the first moment of the way back on, so that only what takes longer than that is waited for.
 * @param steps milliseconds of a step on one process by itself, by what computes it.
 */
export function simulate(
  { bytes, messagesWithin, bytesWithin }: Volume,
  steps: Readonly<Record<string, number>>,
): readonly Row[] {
  const buckets = Math.ceil(bytes / Float32Array.BYTES_PER_ELEMENT / bucketLength);
  return Object.entries(steps).flatMap(([step, milliseconds]) =>
    Object.entries(networks).map(([network, { bytesPerSecond, latency }]): Row => {
      const seconds = milliseconds / 1000;
      const exchange = ((2 * (ranks - 1)) / ranks) * (bytes / bytesPerSecond) + buckets * 2 * (ranks - 1) * latency;
      const within = messagesWithin * 2 * Math.ceil(Math.log2(ranks)) * latency + (2 * bytesWithin) / bytesPerSecond;
      const notHidden = Math.max(0, exchange - backwardShare * seconds);
      return {
        step,
        network,
        "step ms": rounded(milliseconds, 0),
        "exchange ms": rounded(1000 * exchange, 0),
        efficiency: rounded(seconds / (seconds + exchange), 2),
        "with synchronized normalization": rounded(seconds / (seconds + exchange + within), 2),
        "at best, with overlap": rounded(seconds / (seconds + notHidden), 2),
      };
    }),
  );
}
