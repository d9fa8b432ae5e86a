import type { Command } from "commander";
import type { Network } from "../../src/graph/network.ts";
import { architectureNamed, buildNetwork, defaultName } from "../../src/models/registry.ts";
import { modelFrom } from "../../src/tasks/weights/open-weights.ts";
import { type WeightsFile, type WeightsSource, weightsSource } from "../../src/tasks/weights/weights-file.ts";
import { openWeightsFile } from "../../src/tasks/weights/weights-formats.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { type DownloadFlags, sourceReader } from "./downloads.ts";
import type { CliIo } from "./io.ts";
import { assertNoNetworkFlags, givenNetworkOptions, type NetworkFlags, networkOf } from "./network-options.ts";

/** Flags of a command that looks at a network: that of a file, or the one that they describe. */
export type LookFlags = NetworkFlags & DownloadFlags;

/** The network in a file of any kind, or without one that of the flags. */
export async function describedNetwork(
  model: string | undefined,
  command: Command,
  flags: LookFlags,
  io: CliIo,
): Promise<Network> {
  if (model === undefined) return networkOf(flags);
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
  const source = await weightsSource(model, sourceReader(flags, io));
  return { file: await openWeightsFile(source), source, inputShape };
}
