import type { Command } from "commander";
import { FileError, UsageError } from "../../../src/base/errors.ts";
import { isHubAddress } from "../../../src/base/hub-address.ts";
import {
  addressesNamed,
  type NamedWeights,
  namedWeights,
  sizeOfWeights,
} from "../../../src/model/published-weights.ts";
import { cachedDownloads } from "../../../src/runtime/node/downloads.ts";
import { removeCached } from "../../../src/runtime/node/hub.ts";
import { type DownloadFlags, downloadSettingsOf } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp } from "../options.ts";

interface WeightsFlags extends Pick<DownloadFlags, "cacheDir"> {
  readonly json?: boolean;
}

export default function registerWeights(command: Command, io: CliIo): void {
  const cacheFlag = ["--cache-dir <folder>", "folder for downloaded weights (default: the user's cache)"] as const;
  addHelp(command, {
    details: "Every command that takes weights or a model takes these names, and hf://OWNER/REPO[@REVISION][/FILE].",
    examples: ["xception weights", "xception weights rm timm/xception41.tf_in1k"],
  }).option(...cacheFlag);
  command.action(async (flags: WeightsFlags) => {
    const found = await Promise.all(namedWeights.map((weights) => describeWeights(weights, flags)));
    if (flags.json) writeJson(io, found);
    else io.stdout(found.map(lineOf).join(""));
  });
  command
    .command("rm <name>")
    .description("Remove the cached files of these weights.")
    .action(async (name: string) => {
      const flags = command.opts<WeightsFlags>();
      const files = await cachedFiles({ name }, flags);
      if (files.length === 0) throw new FileError({ where: `weights "${name}"`, what: "they are not cached" });
      for (const file of files) await removeCached(file);
      if (flags.json) writeJson(io, { removed: files });
      else io.stdout(files.map((file) => `removed ${file}\n`).join(""));
    });
}

async function describeWeights(weights: NamedWeights, flags: WeightsFlags) {
  return { ...weights, bytes: sizeOfWeights(weights), files: await cachedFiles(weights, flags) };
}

function lineOf({ name, architecture, license, bytes, files }: Awaited<ReturnType<typeof describeWeights>>): string {
  const file = files.find((path) => !path.endsWith("config.json"));
  const cached = file === undefined ? "not cached" : `cached as ${file}`;
  const size = `${Math.round(bytes / 1e6)} MB`.padStart(6);
  return `${name.padEnd(28)}  ${architecture.padEnd(15)}  ${license.padEnd(10)}  ${size}  ${cached}\n`;
}

/** Paths of the cached files that belong to a name. */
async function cachedFiles(
  weights: Parameters<typeof addressesNamed>[0],
  flags: WeightsFlags,
): Promise<readonly string[]> {
  const { name } = weights;
  if (!isHubAddress(name) && !namedWeights.some((each) => each.name === name)) {
    throw new UsageError({
      where: "argument NAME",
      what: "there are no published weights of this name",
      received: name,
      expected: `${[...new Set(namedWeights.map((each) => each.name))].join(", ")} or hf://owner/repo`,
    });
  }
  const settings = downloadSettingsOf(flags);
  const { cached } = cachedDownloads(settings);
  const paths = await Promise.all(addressesNamed(weights, settings.mirror).map((address) => cached!(address)));
  return paths.filter((path) => path !== undefined);
}
