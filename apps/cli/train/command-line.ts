import { basename, dirname, resolve } from "node:path";
import { defaultSource, type ResolvedSettings } from "../../../src/tasks/train/settings/resolve.ts";
import { settingWords } from "../setting-options.ts";
import type { RunFlags } from "./flags.ts";

/** What is put before a command that several processes carry out together. */
function launcherWords(processes: number): readonly string[] {
  return processes > 1 ? ["mpirun", "-n", String(processes)] : [];
}

/** The command line that does the same, with every setting written out that is not the default. */
export function commandLineOf(
  folder: string,
  { output, device, threads, team }: Pick<RunFlags, "output" | "device" | "threads" | "team">,
  { settings: values, sources }: ResolvedSettings,
): string {
  const chosen = [...sources].filter(([, source]) => source !== defaultSource).map(([name]) => name);
  const words = chosen.flatMap((name) => settingWords(name, values[name]));
  const place = [
    ...(device === undefined ? [] : ["--device", device]),
    ...(threads === undefined ? [] : ["--threads", String(threads)]),
  ];
  const launcher = launcherWords(team.communicator.size);
  return [...launcher, "xception", "train", folder, "--output", output, ...place, ...words].map(quote).join(" ");
}

/** How a run is gone on with. */
export function resumeCommand(folder: string, processes = 1): string {
  return [...launcherWords(processes), "xception", "train", "--resume", "-o", quote(folder)].join(" ");
}

/** As a POSIX shell needs it. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * Returns the name by which people know data or weights: not `train` but `photos/train`, not `model.onnx` but `run/model.onnx`.
 * The rest of the path is private.
 */
export function nameOf(folder: string): string {
  const name = basename(resolve(folder));
  return /^(train|val|test|model\.)/i.test(name) ? `${basename(dirname(resolve(folder)))}/${name}` : name;
}
