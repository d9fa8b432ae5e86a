import { basename, dirname, resolve } from "node:path";
import { type Command, Option } from "commander";
import { UsageError } from "../../../src/base/errors.ts";
import type { Device } from "../../../src/base/platform.ts";
import { readConfig } from "../../../src/train/settings/config-file.ts";
import { recipeLayer, recipeNames } from "../../../src/train/settings/recipes.ts";
import {
  defaultSource,
  type ResolvedSettings,
  resolveSettings,
  type SettingsLayer,
} from "../../../src/train/settings/resolve.ts";
import { flagOf, settingGroups, settings } from "../../../src/train/settings/settings.ts";
import { addDownloadOptions, type DownloadFlags } from "../downloads.ts";
import { countOf, deviceOption, positiveNumberOf } from "../options.ts";
import { addSettingOptions, givenSettings, settingWords } from "../setting-options.ts";
import type { RankFlags, Ranks } from "./launched-ranks.ts";

/** Upper limit of the engine's threads. */
const mostThreads = 256;

/** The flags of `addTrainOptions`, without those of settings. */
export interface TrainFlags extends DownloadFlags, RankFlags, SettingSources {
  readonly output?: string;
  readonly printConfig?: boolean;
  readonly showAugment?: string;
  readonly device?: Device;
  readonly overwrite?: boolean;
  readonly tensorboard?: boolean;
  readonly healthSteps?: number;
  readonly resume?: boolean;
  readonly checkpointMinutes?: number;
  readonly checkpointSteps?: number;
  readonly keepCheckpoints?: number;
  readonly json?: boolean;
}

/** The flags of a run, and its ranks. */
export type RunFlags = TrainFlags & { readonly output: string; readonly ranks: Ranks };

export function addTrainOptions(command: Command): Command {
  command
    .addOption(
      new Option("-o, --output <folder>", "where to write the run; its parent must exist (default: runs/NAME-N)"),
    )
    .option("--no-tensorboard", "write no events for TensorBoard")
    .option(
      "--health-steps <n>",
      "steps per epoch whose gradients and activations the report shows; 0: none (default: 3)",
      countOf("--health-steps", { from: 0 }),
    )
    .option("--overwrite", "replace an existing run in the output folder")
    .option("--show-augment <file>", "draw augmented training images to a .png, .svg or .html file; do not train")
    .addOption(deviceOption())
    .option(
      "--threads <n>",
      "threads of the engine (default: one for each core, divided among the ranks of a machine)",
      countOf("--threads", { to: mostThreads }),
    )
    .option("--mpi", "require several ranks (default: if mpirun or srun has started them)")
    .addOption(new Option("--no-mpi", "train on a single rank").hideHelp());
  addDownloadOptions(command)
    .optionsGroup("Checkpoints and resuming:")
    .option("--resume", "resume the run in the output folder; the result is that of an uninterrupted run")
    .option("--checkpoint-minutes <x>", "save every x minutes (default: 5)", positiveNumberOf("--checkpoint-minutes"))
    .option("--checkpoint-steps <n>", "also save every n steps (default: by time alone)", countOf("--checkpoint-steps"))
    .option(
      "--keep-checkpoints <n>",
      "checkpoints to keep, besides the best weights (default: 2)",
      countOf("--keep-checkpoints"),
    )
    .optionsGroup("Sources of settings (flags override the file, the file overrides the recipe):")
    .option("--recipe <name>", `preset settings: ${recipeNames.join(", ")}`)
    .option("--config <file>", "settings as YAML or JSON, e.g. the settings.yaml of a run")
    .option("--print-config", "print the settings, each with its source; do not train");
  for (const { title, names } of settingGroups) {
    addSettingOptions(command, Object.fromEntries(names.map((name) => [name, settings[name]])), title);
  }
  return command;
}

/**
 * Resolves the settings: flags override the file, the file the recipe, the recipe the defaults.
 * @throws {UsageError} a setting is unknown or not allowed, or does not go with the others.
 * @throws {FormatError} the file is no configuration.
 */
export async function settingsOf(
  flags: SettingSources,
  readFile: (path: string) => Promise<Uint8Array>,
): Promise<ResolvedSettings> {
  return resolveSettings(await settingsLayers(flags, readFile));
}

/** Where the settings of a run come from, besides their own flags. */
export interface SettingSources {
  readonly recipe?: string;
  readonly config?: string;
}

/** Settings given by flags, a file and a recipe, in this order. @throws {FormatError} the file is no configuration. */
export async function settingsLayers(
  flags: SettingSources,
  readFile: (path: string) => Promise<Uint8Array>,
): Promise<readonly SettingsLayer[]> {
  const where = (name: string) => `option ${flagOf(name)}`;
  const layers: SettingsLayer[] = [{ source: "flag", values: givenSettings(flags), where }];
  let { recipe } = flags;
  if (flags.config !== undefined) {
    const file = readConfig(new TextDecoder().decode(await readFile(flags.config)), flags.config);
    layers.push(file.layer);
    recipe ??= file.recipe;
  }
  if (recipe !== undefined) {
    layers.push(recipeLayer(recipe, flags.recipe === undefined ? `file "${flags.config}", recipe` : "option --recipe"));
  }
  return layers;
}

/** @throws {UsageError} a required argument is missing. */
export function required(value: string | undefined, where: string, example: string): string {
  if (value !== undefined && value !== "") return value;
  throw new UsageError({ where, what: "it is missing", expected: example });
}

/** The words before a command run by several ranks. */
function launcherWords(processes: number): readonly string[] {
  return processes > 1 ? ["mpirun", "-n", String(processes)] : [];
}

/** The command line of the same run, with every setting that is not the default. */
export function commandLineOf(
  folder: string,
  { output, device, threads, ranks }: Pick<RunFlags, "output" | "device" | "threads" | "ranks">,
  { settings: values, sources }: ResolvedSettings,
): string {
  const chosen = [...sources].filter(([, source]) => source !== defaultSource).map(([name]) => name);
  const words = chosen.flatMap((name) => settingWords(name, values[name]));
  const place = [
    ...(device === undefined ? [] : ["--device", device]),
    ...(threads === undefined ? [] : ["--threads", String(threads)]),
  ];
  const launcher = launcherWords(ranks.communicator.size);
  return [...launcher, "xception", "train", folder, "--output", output, ...place, ...words].map(quote).join(" ");
}

/** The command line that resumes a run. */
export function resumeCommand(folder: string, processes = 1): string {
  return [...launcherWords(processes), "xception", "train", "--resume", "-o", quote(folder)].join(" ");
}

/** Quotes a word for a POSIX shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * The name by which people know data or weights: not `train` but `photos/train`, not `model.onnx` but `run/model.onnx`. The
 * rest of the path is private.
 */
export function nameOf(folder: string): string {
  const name = basename(resolve(folder));
  return /^(train|val|test|model\.)/i.test(name) ? `${basename(dirname(resolve(folder)))}/${name}` : name;
}
