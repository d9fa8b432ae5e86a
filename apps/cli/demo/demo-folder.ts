import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { TrainingError, XceptionError } from "../../../src/errors.ts";
import type { FileSystem } from "../../../src/platform.ts";
import { describeModel } from "../../../src/tasks/model/model-file.ts";
import { RunFolder, runFiles } from "../train/run-folder.ts";

/** Under which key a model of the demo says in its provenance that it is one. */
export const demoMark = "demo";

/**
 * The folder for the demo's files: one that is new, empty, or holds an earlier demo, which will be replaced. Nothing changes
 * on the disk yet.
 * @throws {TrainingError} there is something else in it.
 * @throws {FileError} it cannot be written to.
 */
export async function claimDemoFolder(path: string, system: FileSystem): Promise<RunFolder> {
  const folder = await RunFolder.claim(path, { overwrite: true });
  const files = await readdir(path).catch(() => []);
  if (files.length > 0 && !(await holdsDemo(path, system))) {
    const named = files.sort().slice(0, 3);
    throw new TrainingError({
      where: `folder "${path}"`,
      what: `it holds something else than an earlier demo (${named.join(", ")}${files.length > named.length ? ", …" : ""})`,
      remedy: "Choose another folder with --output.",
    });
  }
  return folder;
}

async function holdsDemo(path: string, files: FileSystem): Promise<boolean> {
  try {
    const { provenance } = describeModel(await files.read(join(path, runFiles.model)));
    return provenance?.[demoMark] !== undefined;
  } catch (error) {
    // No model, or one that is none of ours.
    if (error instanceof XceptionError) return false;
    throw error;
  }
}
