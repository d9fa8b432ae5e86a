import type { Command } from "commander";
import type { Device } from "../../src/base/platform.ts";
import { printableLine } from "../../src/base/printable.ts";
import type { PreprocessingOptions } from "../../src/model/preprocessing.ts";
import { addDownloadOptions, addPixelLimit, type DownloadFlags, platformFor } from "./downloads.ts";
import type { CliIo } from "./io.ts";
import { addLabelsOption, labelsOf } from "./labels.ts";
import { addNetworkOptions, givenNetworkOptions, type NetworkFlags } from "./network-options.ts";
import { deviceOption } from "./options.ts";
import { addPreprocessingOptions, preprocessingOptions } from "./preprocessing-options.ts";

/** Values of the flags of {@link addClassifierOptions}. */
export interface ClassifierFlags extends Partial<Omit<NetworkFlags, "top">>, DownloadFlags, PreprocessingOptions {
  readonly labels?: string;
  readonly device?: Device;
}

/** Network flags that mean something else where a classifier is loaded, as `--top` of `classify`. */
const otherFlags = ["top", "pooling", "seed"] as const;

/** Adds the flags of a command that loads a classifier: the network of bare weights, labels, downloads, device. */
export function addClassifierOptions(
  command: Command,
  {
    withDevice = true,
    withPixelLimit = true,
  }: { readonly withDevice?: boolean; readonly withPixelLimit?: boolean } = {},
): Command {
  if (withDevice) command.addOption(deviceOption());
  addPreprocessingOptions(addDownloadOptions(addLabelsOption(command)));
  if (withPixelLimit) addPixelLimit(command);
  return addNetworkOptions(command, otherFlags);
}

/** The platform and options to load the command line's classifier with. */
export async function classifierArguments(command: Command, flags: ClassifierFlags, io: CliIo) {
  const network = givenNetworkOptions(command, flags, otherFlags);
  const own = Object.keys(network).length > 0 && { network };
  const { architecture, key } = flags;
  const labels = await labelsOf(flags.labels);
  return {
    platform: platformFor(flags, io),
    options: { ...own, architecture, key, labels, ...preprocessingOptions(flags) },
  };
}

/** Reports assumptions about a model or its data. */
export function reportNotes(notes: readonly string[], io: CliIo): void {
  for (const note of notes) io.stderr(`note: ${printableLine(note)}\n`);
}
