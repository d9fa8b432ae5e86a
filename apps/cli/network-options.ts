import type { Command } from "commander";
import { UsageError } from "../../src/base/errors.ts";
import type { Network } from "../../src/graph/network.ts";
import type { WeightsFile } from "../../src/model/formats.ts";
import { openWeightsFile } from "../../src/model/formats.ts";
import { modelFrom } from "../../src/model/open-weights.ts";
import { type WeightsSource, weightsSource } from "../../src/model/weights-file.ts";
import { assertTogether } from "../../src/models/options.ts";
import {
  type ArchitectureName,
  architectureNamed,
  buildNetwork,
  defaultName,
  type NetworkOptions,
  optionsIn,
} from "../../src/models/registry.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { networkSettings } from "../../src/train/settings/network-settings.ts";
import { flagOf } from "../../src/train/settings/settings.ts";
import { type DownloadFlags, platformFor } from "./downloads.ts";
import type { CliIo } from "./io.ts";
import { addSettingOptions } from "./setting-options.ts";

/** What commander makes of the flags of `addNetworkOptions`. */
export type NetworkFlags = Omit<NetworkOptions, "includeTop"> & {
  /** Default `xception`. */
  readonly architecture?: ArchitectureName;
  /** False with `--no-top`. */
  readonly top: boolean;
  readonly key?: string;
};

/** The options that flags set; that of the top has a flag of its own. */
const flagged = optionsIn("network", "task");
const { includeTop: _, ...taskOptions } = optionsIn("task");

/**
 * Gives a command the flags that describe a network; `networkFromFlags` then builds it.
 * @param except flags that mean something else there.
 */
export function addNetworkOptions(
  command: Command,
  except: readonly (keyof typeof taskOptions | "top")[] = [],
): Command {
  const others = Object.entries(taskOptions).filter(([name]) => !except.some((each) => each === name));
  addSettingOptions(command, networkSettings, "Network");
  addSettingOptions(command, Object.fromEntries(others), "Network");
  command.option("--key <path>", "weights in a PyTorch checkpoint that has several, e.g. ema/model");
  return except.includes("top") ? command : command.option("--no-top", "leave out global pooling and the classifier");
}

/** @throws {UsageError} flags do not go together. */
export function networkFromFlags({ architecture = defaultName, ...flags }: NetworkFlags): Network {
  return buildNetwork(architectureNamed(architecture, networkOptionsOf(flags), flagText));
}

/**
 * The flags as options of a network, whatever else the command's flags are.
 * @throws {UsageError} flags do not go together.
 */
export function networkOptionsOf({ top, ...flags }: Partial<NetworkFlags>): NetworkOptions {
  const values: Readonly<Record<string, unknown>> = { ...flags, includeTop: top };
  const given = Object.keys(flagged).filter((name) => values[name] !== undefined);
  const options = Object.fromEntries(given.map((name) => [name, values[name]]));
  assertTogether({ smallest: 0, table: flagged }, options, flagText);
  return options;
}

/** As {@link networkOptionsOf}, of what is on the command line alone: what is not is as a file says. */
export function givenNetworkOptions(command: Command, flags: Partial<NetworkFlags>): NetworkOptions {
  const given = Object.entries(flags).filter(([name]) => command.getOptionValueSource(name) === "cli");
  return networkOptionsOf(Object.fromEntries(given));
}

/**
 * Refuses flags that describe a network beside a file that has one; its images' size may be open.
 * @throws {UsageError} there is one; the message names it.
 */
export function assertNoNetworkFlags(command: Command, flags: Partial<NetworkFlags>): void {
  const names = ["top", "architecture", ...Object.keys(flagged)] as (keyof NetworkFlags)[];
  const name = names.find((each) => each !== "inputShape" && command.getOptionValueSource(each) === "cli");
  if (name === undefined) return;
  throw new UsageError({
    where: "argument MODEL",
    what: "the network is the one in the file; of flags that describe one, only --input-shape goes with it",
    received: flags[name] === false ? flagOf(name).replace("--", "--no-") : flagOf(name),
  });
}

/** Flags of a command that looks at a network: that of a file, or the one that they describe. */
export type LookFlags = NetworkFlags & DownloadFlags;

/** The network in a file of any kind, or without one that of the flags. */
export async function describedNetwork(
  model: string | undefined,
  command: Command,
  flags: LookFlags,
  io: CliIo,
): Promise<Network> {
  if (model === undefined) return networkFromFlags(flags);
  // For what it is made of, nothing has to be downloaded.
  if (model === "imagenet") return publishedNetwork(command, flags);
  const { file, source, inputShape } = await openDescribed(model, command, flags, io);
  return modelFrom(file, source.where, inputShape).network;
}

/** That of keras.applications.Xception. */
export function publishedNetwork(command: Command, flags: LookFlags): Network {
  assertNoNetworkFlags(command, flags);
  return buildNetwork(architectureNamed(defaultName, givenNetworkOptions(command, flags)));
}

/** Opens a file to look at its network, which flags cannot change; `inputShape` is of images, where the file leaves it open. */
export async function openDescribed(
  model: string,
  command: Command,
  flags: LookFlags,
  io: CliIo,
): Promise<{ readonly file: WeightsFile; readonly source: WeightsSource; readonly inputShape: Shape | undefined }> {
  assertNoNetworkFlags(command, flags);
  const { inputShape } = givenNetworkOptions(command, flags);
  const source = await weightsSource(model, platformFor(flags, io), { key: flags.key });
  return { file: await openWeightsFile(source), source, inputShape };
}

function flagText(name: string): string {
  return `option ${flagOf(name)}`;
}
