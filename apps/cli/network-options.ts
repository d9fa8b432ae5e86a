import { Command } from "commander";
import { FormatError, UsageError } from "../../src/base/errors.ts";
import type { Network } from "../../src/graph/network.ts";
import { openWeightsFile } from "../../src/model/formats.ts";
import { modelFrom } from "../../src/model/open-weights.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { assertTogether } from "../../src/models/options.ts";
import {
  type ArchitectureName,
  architectureNamed,
  architectureNames,
  buildNetwork,
  defaultName,
  type NetworkOptions,
  optionsIn,
} from "../../src/models/registry.ts";
import { networkSettings } from "../../src/train/settings/network-settings.ts";
import { flagOf } from "../../src/train/settings/settings.ts";
import { type DownloadFlags, platformFor } from "./downloads.ts";
import type { CliIo } from "./io.ts";
import { addSettingOptions } from "./setting-options.ts";

/** Values of the flags of {@link addNetworkOptions}. */
export type NetworkFlags = Omit<NetworkOptions, "includeTop"> & {
  /** Default `xception`. */
  readonly architecture?: ArchitectureName;
  /** False with `--no-top`. */
  readonly top: boolean;
  readonly key?: string;
};

/** Options that have a flag; the top's is written by hand. */
const flagged = optionsIn("network", "task");
const { includeTop: _, ...taskOptions } = optionsIn("task");

/**
 * Adds the flags that describe a network to a command.
 * @param except flags that have another meaning there.
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

/**
 * The network that flags describe.
 * @throws {UsageError} the flags cannot be combined.
 */
export function networkFromFlags(command: Command, flags: NetworkFlags): Network {
  const { architecture = defaultName } = flags;
  return buildNetwork(architectureNamed(architecture, givenNetworkOptions(command, flags), flagText));
}

/**
 * The network options on the command line; the others are up to the file.
 * @param except flags that have another meaning there.
 * @throws {UsageError} the flags cannot be combined.
 */
export function givenNetworkOptions(
  command: Command,
  { top, ...flags }: Partial<NetworkFlags>,
  except: readonly string[] = [],
): NetworkOptions {
  const values = Object.entries({ ...flags, includeTop: top });
  const flagNameOf = (name: string) => (name === "includeTop" ? "top" : name);
  const isGiven = (name: string) =>
    name in flagged && !except.includes(flagNameOf(name)) && isTyped(command, flagNameOf(name));
  const options = Object.fromEntries(values.filter(([name, value]) => value !== undefined && isGiven(name)));
  assertTogether({ smallest: 0, table: flagged }, options, flagText);
  return options;
}

function isTyped(command: Command, name: string): boolean {
  return command.getOptionValueSource(name) === "cli";
}

/** Flags of a command that shows the network of a file, or the one that the flags describe. */
export type LookFlags = NetworkFlags & DownloadFlags;

/**
 * The network in a file of any format, or of an architecture with network flags, e.g. `xception --width 0.5`; without
 * either, the one that flags describe.
 */
export async function describedNetwork(
  model: string | undefined,
  command: Command,
  flags: LookFlags,
  io: CliIo,
): Promise<Network> {
  if (model === undefined) return networkFromFlags(command, flags);
  const network = networkInWords(model, command, flags);
  if (network) return network;
  if (model === "imagenet") return publishedNetwork(command, flags);
  const { file, source, inputShape } = await openDescribed(model, command, flags, io);
  if (file.graph && !file.describedNetwork) {
    throw new FormatError({
      where: source.where,
      what: "it is another tool's graph of operators, without layers",
      received: file.format,
      expected: "a model with layers",
      remedy: "`xception summary` lists its operators.",
    });
  }
  return modelFrom(file, source.where, inputShape).network;
}

/** The network that an argument names, with flags of its own, e.g. `xception --width 0.5`; undefined if it names a file. */
export function networkInWords(model: string, command: Command, flags: LookFlags): Network | undefined {
  const [name, ...words] = model.trim().split(/\s+/) as [string, ...string[]];
  if (!architectureNames.some((each) => each === name)) return undefined;
  const options = { ...givenNetworkOptions(command, flags), ...optionsOfWords(words) };
  return buildNetwork(architectureNamed(name as ArchitectureName, options, flagText));
}

/** Network options in the words of one argument. */
function optionsOfWords(words: readonly string[]): NetworkOptions {
  const command = addNetworkOptions(new Command());
  command.exitOverride().configureOutput({ writeErr: () => {} });
  try {
    command.parse(words, { from: "user" });
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    const what = (cause as Error).message.replace(/^error: /, "");
    throw new UsageError({
      where: "argument MODEL",
      what,
      received: words.join(" "),
      expected: "network flags",
      cause,
    });
  }
  return givenNetworkOptions(command, command.opts<NetworkFlags>());
}

/** The network of keras.applications with the weights `imagenet`; needs no download. */
export function publishedNetwork(command: Command, flags: LookFlags): Network {
  assertNoNetworkFlags(command, flags, ["architecture"]);
  return networkFromFlags(command, flags);
}

/**
 * Opens a file to show its network, which flags cannot change; `inputShape` is the image size if the file leaves it open.
 * @throws {UsageError} flags describe a network.
 */
export async function openDescribed(model: string, command: Command, flags: LookFlags, io: CliIo) {
  assertNoNetworkFlags(command, flags);
  const { inputShape } = givenNetworkOptions(command, flags);
  const source = await weightsSource(model, platformFor(flags, io), { key: flags.key });
  return { file: await openWeightsFile(source), source, inputShape };
}

function assertNoNetworkFlags(
  command: Command,
  flags: Partial<NetworkFlags>,
  allowed: readonly (keyof NetworkFlags)[] = [],
): void {
  const names = ["top", "architecture", ...Object.keys(flagged)] as (keyof NetworkFlags)[];
  const name = names.find((each) => !["inputShape", ...allowed].includes(each) && isTyped(command, each));
  if (name === undefined) return;
  throw new UsageError({
    where: "argument MODEL",
    what: "the file determines the network; --input-shape is the only network flag allowed with a file",
    received: flags[name] === false ? flagOf(name).replace("--", "--no-") : flagOf(name),
  });
}

function flagText(name: string): string {
  return `option ${flagOf(name)}`;
}
