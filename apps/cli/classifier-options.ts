import type { Command } from "commander";
import type { Device, Platform } from "../../src/base/platform.ts";
import type { LoadModelOptions } from "../../src/model/load-model.ts";
import { addDownloadOptions, type DownloadFlags, platformFor } from "./downloads.ts";
import type { CliIo } from "./io.ts";
import { addLabelsOption, labelsOf } from "./labels.ts";
import { addNetworkOptions, givenNetworkOptions, type NetworkFlags } from "./network-options.ts";
import { deviceOption } from "./options.ts";

/** What commander makes of the flags of `addClassifierOptions`. */
export interface ClassifierFlags extends Partial<Omit<NetworkFlags, "top">>, DownloadFlags {
  readonly labels?: string;
  readonly device?: Device;
}

/** Gives a command that takes a classifier the flags about it: the network of bare weights, labels, downloads, device. */
export function addClassifierOptions(command: Command): Command {
  addDownloadOptions(addLabelsOption(command.addOption(deviceOption())));
  return addNetworkOptions(command, ["top", "pooling", "seed"]);
}

/** What reads a classifier on the command line, and how. */
export async function classifierArguments(
  command: Command,
  flags: ClassifierFlags,
  io: CliIo,
): Promise<{ readonly platform: Required<Platform>; readonly options: LoadModelOptions }> {
  return {
    platform: platformFor(flags, io),
    options: {
      ...givenNetwork(command, flags),
      architecture: flags.architecture,
      key: flags.key,
      labels: await labelsOf(flags.labels),
    },
  };
}

/** Reports what was assumed about a model. */
export function reportNotes(notes: readonly string[], io: CliIo): void {
  for (const note of notes) io.stderr(`note: ${note}\n`);
}

function givenNetwork(command: Command, flags: ClassifierFlags): Pick<LoadModelOptions, "network"> {
  const network = givenNetworkOptions(command, flags);
  return Object.keys(network).length > 0 ? { network } : {};
}
