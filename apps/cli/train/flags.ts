import { type Command, Option } from "commander";
import type { ImageDataset } from "../../../src/data/dataset.ts";
import { UsageError } from "../../../src/errors.ts";
import type { Network } from "../../../src/graph/network.ts";
import type { OptimizerName } from "../../../src/learning/optimizers.ts";
import type { ScheduleName } from "../../../src/learning/schedules.ts";
import type { Device } from "../../../src/platform.ts";
import { defaultBatchSize, optimizerDefaults } from "../../../src/tasks/train-plan.ts";
import { deviceOption } from "../device-option.ts";
import { type ArchitectureFlags, addArchitectureOptions, choice } from "../network-options.ts";
import { numberOf } from "../values.ts";

/** What commander makes of the flags of `addTrainOptions`. */
export interface TrainFlags extends ArchitectureFlags {
  readonly output: string;
  readonly val?: string;
  readonly valShare: number;
  readonly epochs: number;
  readonly batchSize?: number;
  readonly imageSize: number;
  readonly seed: number;
  readonly optimizer: OptimizerName;
  readonly learningRate?: number;
  readonly schedule: ScheduleName;
  readonly weightDecay?: number;
  readonly momentum?: number;
  readonly labelSmoothing: number;
  /** False with `--no-augment`. */
  readonly augment: boolean;
  readonly device?: Device;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

/** How a network is trained, nothing left open. */
export interface Recipe {
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: OptimizerName;
  readonly learningRate: number;
  readonly schedule: ScheduleName;
  readonly weightDecay: number;
  /** SGD and RMSprop only. */
  readonly momentum?: number;
  readonly labelSmoothing: number;
  readonly augmentation: boolean;
  readonly seed: number;
}

export function addTrainOptions(command: Command): Command {
  command
    .requiredOption("-o, --output <folder>", "where to write the run; its parent must exist")
    .option("--val <folder>", "pictures to test on after every epoch, with the same classes")
    .addOption(
      new Option("--val-share <share>", "without --val: part of each class that is held out for it")
        .argParser(numberOf("--val-share"))
        .default(0.2)
        .conflicts("val"),
    )
    .option("--epochs <n>", "passes over the pictures", numberOf("--epochs"), 20)
    .option("--batch-size <n>", "pictures in a step (default: 32, fewer if memory asks)", numberOf("--batch-size"))
    .option("--image-size <n>", "height and width that pictures are stretched to", numberOf("--image-size"), 299)
    .option("--seed <n>", "of weights, shuffles, augmentation and dropout", numberOf("--seed"), 0)
    .addOption(choice("--optimizer <name>", "", Object.keys(optimizerDefaults)).default("adamw"))
    .option(
      "--learning-rate <rate>",
      `its highest value (default: ${listDefaults("learningRate")})`,
      numberOf("--learning-rate"),
    )
    .addOption(
      choice("--schedule <name>", "of the learning rate", ["constant", "cosine", "one-cycle", "exponential"]).default(
        "one-cycle",
      ),
    )
    .option(
      "--weight-decay <share>",
      `of kernels (default: ${listDefaults("weightDecay")})`,
      numberOf("--weight-decay"),
    )
    .option("--momentum <share>", "of sgd and rmsprop (default: 0.9 and 0)", numberOf("--momentum"))
    .option(
      "--label-smoothing <share>",
      "of the probability, spread over all classes",
      numberOf("--label-smoothing"),
      0.1,
    )
    .option("--no-augment", "show pictures as they are, not randomly flipped, turned, cropped and recoloured")
    .addOption(deviceOption())
    .option("--overwrite", "replace a run that is in the output folder already");
  return addArchitectureOptions(command);
}

/**
 * The recipe that flags ask for, with the defaults filled in.
 * @throws {UsageError} a flag does not go with the optimizer.
 */
export function recipeOf(flags: TrainFlags, dataset: ImageDataset, network: Network): Recipe {
  const { epochs, optimizer, schedule, momentum, labelSmoothing, augment, seed } = flags;
  if (momentum !== undefined && optimizer !== "sgd" && optimizer !== "rmsprop") {
    throw new UsageError({
      where: "option --momentum",
      what: `${optimizer} has no momentum to set`,
      received: momentum,
      expected: "--optimizer sgd or rmsprop",
    });
  }
  return {
    epochs,
    batchSize: flags.batchSize ?? defaultBatchSize(dataset, network),
    optimizer,
    learningRate: flags.learningRate ?? optimizerDefaults[optimizer].learningRate,
    schedule,
    weightDecay: flags.weightDecay ?? optimizerDefaults[optimizer].weightDecay,
    ...(momentum !== undefined && { momentum }),
    labelSmoothing,
    augmentation: augment,
    seed,
  };
}

/** The command line that does the same, with every flag that has a value written out. */
export function commandLineOf(command: Command, folder: string, flags: TrainFlags): string {
  const values = flags as unknown as Readonly<Record<string, unknown>>;
  const words = command.options.flatMap((option) => {
    const name = option.attributeName();
    const value = values[name];
    if (value === undefined || name === "json" || name === "overwrite") return [];
    if (name === "valShare" && flags.val !== undefined) return [];
    if (option.negate) return value === false ? [option.long!] : [];
    return [option.long!, quote(String(value))];
  });
  return ["xception", command.name(), quote(folder), ...words].join(" ");
}

function listDefaults(setting: "learningRate" | "weightDecay"): string {
  const values = Object.entries(optimizerDefaults).map(([name, defaults]) => `${name} ${defaults[setting]}`);
  return values.join(", ");
}

/** As a POSIX shell needs it. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
