import type { Platform } from "../../../src/platform.ts";
import type { CheckpointOptions } from "../../../src/tasks/train/checkpoint.ts";
import type { TrainOptions } from "../../../src/tasks/train/options.ts";
import { trainOptions } from "../../../src/tasks/train/settings/chosen-options.ts";
import type { PreparedRun } from "./prepare-run.ts";

/** What all processes of a run tell `train`. @param save what becomes of checkpoints, on rank 0. */
export function runOptions(
  { inputs, from, flags }: PreparedRun,
  platform: Platform,
  signal: AbortSignal,
  save: CheckpointOptions["save"],
): TrainOptions {
  const { communicator, threads } = flags.team;
  return {
    ...trainOptions(inputs.settings),
    platform,
    device: inputs.device,
    communicator,
    threads,
    healthSteps: flags.healthSteps ?? 3,
    ...(inputs.mapWeights && { mapWeights: inputs.mapWeights }),
    network: inputs.network,
    ...inputs.tuning,
    ...(inputs.weights && { weights: inputs.weights.weights }),
    ...(inputs.preprocessing && { preprocessing: inputs.preprocessing }),
    validation: inputs.validation,
    checkpoints: { save, everyMinutes: flags.checkpointMinutes, everySteps: flags.checkpointSteps },
    ...(from && { resume: from.checkpoint }),
    signal,
  };
}
