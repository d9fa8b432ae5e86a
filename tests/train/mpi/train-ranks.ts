/** Started by `mpirun`, one process for each rank: trains in several ways, and writes what came of each into a folder. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ImageDataset } from "../../../src/data/dataset.ts";
import { joinMpi } from "../../../src/runtime/node/mpi.ts";
import type { Checkpoint } from "../../../src/train/checkpoint.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../../src/train/checkpoint-file.ts";
import type { TrainingRequest } from "../../../src/train/request.ts";
import { train } from "../../../src/train/train.ts";
import {
  gatheredHealth,
  headFirst,
  inferenceNorm,
  type Outcome,
  outcomeOf,
  sharedTraining,
  stoppingPlatform,
  withDamage,
} from "./trainings.ts";

const [, , folder] = process.argv as [string, string, string];
const communicator = await joinMpi();
const { rank, size } = communicator;
const checkpointFile = join(folder, "checkpoint.safetensors");

const { dataset, validation } = sharedTraining;
const damaged = withDamage(dataset, 4);
const health = gatheredHealth();

/** What every rank has to do together with the others, by name. */
const tasks: Readonly<Record<string, () => Promise<Outcome>>> = {
  synchronized: () => trainShare({ syncBatchNorm: true, ...health.options }),
  "head first": () => trainShare({ syncBatchNorm: true, ...headFirst }),
  "synchronized in parts": () => trainShare({ syncBatchNorm: true, accumulate: 2 }),
  apart: () => trainShare(),
  frozen: () => trainShare({ batchNorm: inferenceNorm }),
  damaged: () => trainShare(headFirst, { dataset: damaged, validation: withDamage(validation, 1) }),
  "with checkpoint": () => {
    const save = async (checkpoint: Checkpoint) => {
      if (checkpoint.state.steps === 4) await writeFile(checkpointFile, await encodeCheckpoint(checkpoint));
    };
    return trainShare({ checkpoints: { save, everySteps: 1 } }, { dataset: damaged });
  },
  resumed: async () => {
    const { checkpoint } = await decodeCheckpoint(await readFile(checkpointFile), "checkpoint");
    return trainShare({ resume: checkpoint }, { dataset: damaged });
  },
  "stopped by rank 1": () => trainShare(stoppingPlatform(rank === 1 ? 6 : Infinity)),
  "stopped by rank 1 in its test": () => trainShare(stoppingPlatform(rank === 1 ? 9 : Infinity)),
  "with another seed on rank 1": () => trainShare({ seed: rank }),
  diverged: () => trainShare({ learningRate: 1e30 }, { dataset }),
};

const outcomes: Record<string, Outcome | { readonly error: string }> = {};
for (const [name, run] of Object.entries(tasks)) {
  outcomes[name] = await run().catch((error: Error) => ({ error: error.message }));
}
await writeFile(join(folder, `rank-${rank}.json`), JSON.stringify({ size, outcomes, health: health.layers }));
communicator.dispose();

async function trainShare(
  options: Partial<TrainingRequest> = {},
  { dataset: images, ...pair }: { dataset: ImageDataset; validation?: ImageDataset } = { dataset, validation },
): Promise<Outcome> {
  const result = await train(images, { ...sharedTraining.options, ...pair, ...options, communicator, batchSize: 4 });
  return outcomeOf(result);
}
