import { mkdir, mkdtemp, readdir, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { FileError, TrainingError } from "../../../src/errors.ts";
import { writeFileAtomic } from "../../../src/runtime/node-files.ts";

/** What a run consists of. */
export const runFiles = {
  model: "model.onnx",
  history: "history.csv",
  settings: "settings.yaml",
  evaluation: "evaluation.json",
  report: "report.html",
} as const;

export type RunFile = keyof typeof runFiles;

/**
 * The folder that a training writes into. Nothing changes on the disk before the first file is written: a training that
 * fails earlier leaves neither an empty folder nor a damaged older run.
 */
export class RunFolder {
  readonly path: string;
  readonly #written = new Set<string>();

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes sure that the folder can be written to and, unless told to replace it, holds no run.
   * @throws {FileError} the folder, or the one it is to be made in, is missing or not writable.
   * @throws {TrainingError} it holds a run.
   */
  static async claim(path: string, { overwrite = false }: { readonly overwrite?: boolean } = {}): Promise<RunFolder> {
    const there = await listing(path);
    await tryToWrite(path, there !== undefined);
    const run = Object.values(runFiles).filter((name) => there?.includes(name));
    if (run.length > 0 && !overwrite) {
      throw new TrainingError({
        where: `folder "${path}"`,
        what: `it holds a run already (${run.join(", ")})`,
        remedy: "Choose another folder, or replace that run with --overwrite.",
      });
    }
    return new RunFolder(path);
  }

  /** Names of the files written so far. */
  get written(): readonly string[] {
    return [...this.#written];
  }

  file(kind: RunFile): string {
    return join(this.path, runFiles[kind]);
  }

  /** Writes one file, whole or not at all. The first one takes the place of all files of an older run. */
  async write(kind: RunFile, content: Uint8Array | string): Promise<void> {
    const isFirst = this.#written.size === 0;
    if (isFirst) await mkdir(this.path, { recursive: true });
    await writeFileAtomic(this.file(kind), content);
    this.#written.add(runFiles[kind]);
    if (!isFirst) return;
    const others = Object.values(runFiles).filter((name) => name !== runFiles[kind]);
    for (const name of others) await rm(join(this.path, name), { force: true });
  }
}

/** Names of what is in a folder; undefined where there is none. */
async function listing(path: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw refusal(path, path, error as NodeJS.ErrnoException);
  }
}

/** Permissions, read-only disks and the like: only trying tells. */
async function tryToWrite(path: string, isThere: boolean): Promise<void> {
  try {
    if (isThere) await rmdir(await mkdtemp(join(path, ".xception-")));
    else {
      await mkdir(path);
      await rmdir(path);
    }
  } catch (error) {
    throw refusal(path, isThere ? path : dirname(resolve(path)), error as NodeJS.ErrnoException);
  }
}

/** @param place the folder that something was to be made in. */
function refusal(path: string, place: string, cause: NodeJS.ErrnoException): FileError {
  const where = `folder "${path}"`;
  switch (cause.code) {
    case "ENOENT":
      return new FileError({ where, what: `the folder ${place} does not exist`, remedy: "Create it first.", cause });
    case "ENOTDIR":
      return new FileError({ where, what: `${place} is not a folder`, cause });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new FileError({ where, what: `the folder ${place} is not writable`, cause });
    default:
      return new FileError({ where, what: `it cannot be used (${cause.message})`, cause });
  }
}
