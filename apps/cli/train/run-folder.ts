import { mkdir, mkdtemp, readdir, realpath, rm, rmdir } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { FileError, TrainingError, UsageError } from "../../../src/base/errors.ts";
import { writeFileAtomic } from "../../../src/runtime/node/files.ts";

/** What a run consists of. */
export const runFiles = {
  model: "model.onnx",
  history: "history.csv",
  settings: "settings.yaml",
  evaluation: "evaluation.json",
  reportData: "report.json",
  report: "report.html",
} as const;

type RunFile = keyof typeof runFiles;

/** Where a run keeps what it needs to resume. */
export const checkpointsFolder = "checkpoints";

/** The files in it: checkpoints by their steps, best weights by their epoch, and the list of the run's images. */
export const stepPattern = /^step-(\d{8,})\.safetensors$/;
export const bestPattern = /^best-epoch-(\d{5,})\.safetensors$/;
export const imageList = "images.json";

/** Where TensorBoard finds the run's events, and the names of files in it: by the second in which they were begun. */
export const eventsFolder = "tensorboard";
export const eventPattern = /^events\.out\.tfevents\.(\d{10,})\.xception$/;

/** All that a run consists of, in the order in which it is told. */
const runNames: readonly string[] = [...Object.values(runFiles), checkpointsFolder, eventsFolder];

/** Of these, what only tells how it is going. */
const reportNames: readonly string[] = [runFiles.reportData, runFiles.report, eventsFolder];

/**
 * The folder that a training writes into. Nothing changes on the disk before the first file is written: a training that
 * fails earlier leaves neither an empty folder nor a damaged older run.
 */
export class RunFolder {
  readonly path: string;
  readonly #written = new Set<string>();
  readonly #goesOn: boolean;
  #isOwn: boolean;

  private constructor(path: string, { goesOn, isOwn }: { readonly goesOn: boolean; readonly isOwn: boolean }) {
    this.path = path;
    this.#goesOn = goesOn;
    this.#isOwn = isOwn;
  }

  /**
   * Makes sure that the folder can be written to and, unless told to replace it or to resume it, holds no run.
   * @throws {FileError} the folder to resume in, or the one it is to be made in, is missing or not writable.
   * @throws {TrainingError} it holds a run.
   */
  static async claim(
    path: string,
    { overwrite = false, resume = false }: { readonly overwrite?: boolean; readonly resume?: boolean } = {},
  ): Promise<RunFolder> {
    const there = await listing(path);
    if (resume && there === undefined) {
      const remedy = "Check its name, or begin the training without --resume.";
      throw new FileError({ where: `folder "${path}"`, what: "there is no such folder to resume in", remedy });
    }
    await tryToWrite(path, there !== undefined);
    const run = runNames.filter((name) => there?.includes(name));
    if (run.length > 0 && !overwrite && !resume) {
      const goOn = run.includes(checkpointsFolder) ? "Go on with it with --resume, choose" : "Choose";
      throw new TrainingError({
        where: `folder "${path}"`,
        what: `it holds a run already (${run.join(", ")})`,
        remedy: `${goOn} another folder, or replace that run with --overwrite.`,
      });
    }
    return new RunFolder(path, { goesOn: resume, isOwn: resume || run.length === 0 });
  }

  /** Names of the files and folders written so far. */
  get written(): readonly string[] {
    return runNames.filter((name) => this.#written.has(name));
  }

  /** Whether there is nothing of an older run in the folder: from the start, or since this one wrote something. */
  get isOwn(): boolean {
    return this.#isOwn;
  }

  file(kind: RunFile): string {
    return join(this.path, runFiles[kind]);
  }

  /** Writes one file, whole or not at all. The first one takes the place of all files of an older run. */
  write(kind: RunFile, content: Uint8Array | string): Promise<void> {
    return this.#write(runFiles[kind], content);
  }

  /** Writes a file into the folder of checkpoints, in the same way. */
  writeCheckpointFile(name: string, content: Uint8Array | string): Promise<void> {
    return this.#write(`${checkpointsFolder}/${name}`, content);
  }

  /** Begins a file of events, in the same way. */
  writeEventFile(name: string, content: Uint8Array): Promise<void> {
    return this.#write(`${eventsFolder}/${name}`, content);
  }

  async removeCheckpointFile(name: string): Promise<void> {
    await rm(join(this.path, checkpointsFolder, name), { force: true });
  }

  /** Removes what a run that was killed while it wrote has left of half-written files. */
  async removeTemporaryFiles(): Promise<void> {
    for (const folder of [this.path, join(this.path, checkpointsFolder)]) {
      const names = (await listing(folder)) ?? [];
      for (const name of names.filter(isTemporary)) await rm(join(folder, name), { force: true });
    }
  }

  /** Takes what tells of a run away where the run ends before it has saved anything: the next one may begin in its place. */
  async removeEmptyRun(): Promise<void> {
    if (this.#goesOn || [...this.#written].some((name) => !reportNames.includes(name))) return;
    for (const name of [runFiles.reportData, runFiles.report]) await rm(join(this.path, name), { force: true });
    await this.#removeEvents();
    this.#written.clear();
  }

  /** @throws {FileError} always: why a file could not be written. */
  async #explain(error: unknown): Promise<never> {
    if (await this.isThere()) throw error;
    throw new FileError({
      where: `folder "${this.path}"`,
      what: "it is gone: it was moved or deleted while the run wrote into it",
      remedy: "If it was moved, resume the run there with --resume.",
      cause: error,
    });
  }

  /** Whether the folder exists. */
  async isThere(): Promise<boolean> {
    return (await listing(this.path).catch(() => undefined)) !== undefined;
  }

  /** @param name with `/` between its parts; its first one is what the run is said to consist of. */
  async #write(name: string, content: Uint8Array | string): Promise<void> {
    const path = join(this.path, name);
    const [part] = name.split("/") as [string];
    // Later the folder must still be there: one that vanished is not created again, with half of a run in it.
    if (!this.#goesOn && this.#written.size === 0) await mkdir(this.path, { recursive: true });
    if (part !== name && !this.#written.has(part))
      await makeFolder(dirname(path)).catch((error) => this.#explain(error));
    await writeFileAtomic(path, content).catch((error: unknown) => this.#explain(error));
    this.#written.add(part);
    if (this.#isOwn) return;
    this.#isOwn = true;
    for (const other of Object.values(runFiles)) {
      if (other !== part) await rm(join(this.path, other), { force: true });
    }
    for (const other of (await listing(join(this.path, checkpointsFolder))) ?? []) {
      const isOurs = stepPattern.test(other) || bestPattern.test(other) || other === imageList;
      if (isOurs && `${checkpointsFolder}/${other}` !== name) await this.removeCheckpointFile(other);
    }
    if (part !== checkpointsFolder) await rmdir(join(this.path, checkpointsFolder)).catch(() => {});
    await this.#removeEvents(part === eventsFolder ? basename(name) : undefined);
  }

  /** Removes files of events, and their folder where nothing else is in it. */
  async #removeEvents(except?: string): Promise<void> {
    const folder = join(this.path, eventsFolder);
    for (const name of (await listing(folder).catch(() => undefined)) ?? []) {
      if (eventPattern.test(name) && name !== except) await rm(join(folder, name), { force: true });
    }
    if (except === undefined) await rmdir(folder).catch(() => {});
  }
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw refusal(path, dirname(path), error);
  });
}

/** As `writeFileAtomic` names them. */
function isTemporary(name: string): boolean {
  return /^\..+\.[0-9a-f]{8}\.tmp$/.test(name);
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
    // Another run that begins at the same time is trying, too; the lock decides.
    if (!isThere && ["EEXIST", "ENOTEMPTY"].includes((error as NodeJS.ErrnoException).code!)) return;
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

/**
 * @throws {UsageError} a run would be written among the images, where it would be read as a class the next time, or around
 *   them, where they would go with it.
 */
export async function assertOutputOutsideImages(output: string, images: readonly string[]): Promise<void> {
  const target = await realPath(output);
  for (const folder of images) {
    const place = await realPath(folder);
    if (isWithin(place, target)) {
      throw new UsageError({
        where: "option --output",
        what: `the run would be written into the images' folder ${folder}`,
        received: output,
        expected: "a folder outside of it",
      });
    }
    if (isWithin(target, place)) {
      throw new UsageError({
        where: "option --output",
        what: `the images' folder ${folder} lies in it`,
        received: output,
        expected: "a folder for the run alone",
      });
    }
  }
}

/** Whether a path is that of a folder or leads below it. */
export function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way.split(sep)[0] !== ".." && !isAbsolute(way);
}

/** Where a path leads, links followed as far as it exists. */
async function realPath(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(await realPath(parent), basename(absolute));
  }
}
