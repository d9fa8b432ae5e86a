import { mkdir, mkdtemp, readdir, realpath, rm, rmdir } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { FileError, TrainingError, UsageError } from "../../../src/base/errors.ts";
import { readFile, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { cardPath, isReplaceable } from "../../../src/tasks/card/card-file.ts";
import { nameOf } from "./flags.ts";
import { lockFile } from "./run-lock.ts";

/** The files of a run. */
export const runFiles = {
  model: "model.onnx",
  card: cardPath("model.onnx"),
  history: "history.csv",
  settings: "settings.yaml",
  evaluation: "evaluation.json",
  reportData: "report.json",
  report: "report.html",
} as const;

type RunFile = keyof typeof runFiles;

/** Folder of the runs without a name. */
const runsFolder = "runs";

/** Folder of the checkpoints in a run. */
export const checkpointsFolder = "checkpoints";

/** Names of its files: checkpoints by steps, best weights by epoch, and the list of the run's images. */
export const stepPattern = /^step-(\d{8,})\.safetensors$/;
export const bestPattern = /^best-epoch-(\d{5,})\.safetensors$/;
export const imageList = "images.json";

/** Folder of TensorBoard's events, and the names of its files, by the second of their creation. */
export const eventsFolder = "tensorboard";
export const eventPattern = /^events\.out\.tfevents\.(\d{10,})\.xception$/;

/** All files and folders of a run, in the order in which they are listed. */
const runNames: readonly string[] = [...Object.values(runFiles), checkpointsFolder, eventsFolder];

/** Those that only report progress. */
const reportNames: readonly string[] = [runFiles.reportData, runFiles.report, eventsFolder];

/** The folder of a run. It is unchanged until the first file is written, so that a run that fails early leaves no trace. */
export class RunFolder {
  readonly path: string;
  readonly #written = new Set<string>();
  readonly #isResumed: boolean;
  #isOwn: boolean;

  private constructor(path: string, isResumed: boolean, isOwn: boolean) {
    this.path = path;
    this.#isResumed = isResumed;
    this.#isOwn = isOwn;
  }

  /**
   * Checks that the folder can be written to and contains no run, unless it is to be replaced or resumed.
   * @throws {FileError} the folder to resume, or the parent of a new one, is missing or not writable.
   * @throws {TrainingError} it contains a run.
   */
  static async claim(
    path: string,
    { overwrite = false, resume = false }: { readonly overwrite?: boolean; readonly resume?: boolean } = {},
  ): Promise<RunFolder> {
    const there = await listing(path);
    if (resume && there === undefined) {
      const remedy = "Check its name, or start without --resume.";
      throw new FileError({ where: `folder "${path}"`, what: "there is no such folder to resume", remedy });
    }
    if (dirname(path) === runsFolder) {
      await mkdir(runsFolder, { recursive: true }).catch((error) => {
        throw refusal(runsFolder, ".", error);
      });
    }
    await tryToWrite(path, there !== undefined);
    const run = runNames.filter((name) => there?.includes(name));
    if (run.length > 0 && !overwrite && !resume) {
      const resuming = run.includes(checkpointsFolder) ? "Resume it with --resume, choose" : "Choose";
      throw new TrainingError({
        where: `folder "${path}"`,
        what: `it already contains a run (${run.join(", ")})`,
        remedy: `${resuming} another folder, or replace that run with --overwrite.`,
      });
    }
    // The lock is of a run that has written nothing yet.
    const foreign = there?.filter((name) => !name.startsWith(".") && !name.startsWith(lockFile)) ?? [];
    if (run.length === 0 && foreign.length > 0 && !overwrite && !resume) {
      throw new TrainingError({
        where: `folder "${path}"`,
        what: "it is not empty, and contains no run",
        received: foreign.slice(0, 3),
        remedy: "Choose another folder, or write into this one with --overwrite, which keeps other files.",
      });
    }
    return new RunFolder(path, resume, resume || run.length === 0);
  }

  /** Names of the files and folders written so far. */
  get written(): readonly string[] {
    return runNames.filter((name) => this.#written.has(name));
  }

  /** True if the folder contains nothing of an older run, at first or since this one wrote something. */
  get isOwn(): boolean {
    return this.#isOwn;
  }

  file(kind: RunFile): string {
    return join(this.path, runFiles[kind]);
  }

  /** Writes one file atomically. The first one replaces all files of an older run. A card that was edited is kept. */
  async write(kind: RunFile, content: Uint8Array | string): Promise<void> {
    if (kind === "card" && !(await this.#isReplaceable(runFiles.card))) return;
    await this.#write(runFiles[kind], content);
  }

  /** Writes a file into the folder of checkpoints in the same way. */
  writeCheckpointFile(name: string, content: Uint8Array | string): Promise<void> {
    return this.#write(`${checkpointsFolder}/${name}`, content);
  }

  /** Creates a file of events in the same way. */
  writeEventFile(name: string, content: Uint8Array): Promise<void> {
    return this.#write(`${eventsFolder}/${name}`, content);
  }

  async removeCheckpointFile(name: string): Promise<void> {
    await rm(join(this.path, checkpointsFolder, name), { force: true });
  }

  /** Removes partly written files of a killed run, as `writeFileAtomic` names them. */
  async removeTemporaryFiles(): Promise<void> {
    for (const folder of [this.path, join(this.path, checkpointsFolder)]) {
      const names = (await listing(folder)) ?? [];
      const temporary = names.filter((name) => /^\..+\.[0-9a-f]{8}\.tmp$/.test(name));
      for (const name of temporary) await rm(join(folder, name), { force: true });
    }
  }

  /** Removes the reports of a run that has saved nothing else, so that another can start in its place. */
  async removeEmptyRun(): Promise<void> {
    if (this.#isResumed || [...this.#written].some((name) => !reportNames.includes(name))) return;
    for (const name of [runFiles.reportData, runFiles.report]) await rm(join(this.path, name), { force: true });
    await this.#removeEvents();
    this.#written.clear();
  }

  /** @throws {FileError} always: the reason that a file could not be written. */
  async #explain(error: unknown): Promise<never> {
    if (await this.isThere()) throw error;
    throw new FileError({
      where: `folder "${this.path}"`,
      what: "it was moved or deleted during the run",
      remedy: "If it was moved, resume the run there with --resume.",
      cause: error,
    });
  }

  /** Returns true if the folder exists. */
  async isThere(): Promise<boolean> {
    return (await listing(this.path).catch(() => undefined)) !== undefined;
  }

  /** @param name path in the folder; its first part is listed as a file or folder of the run. */
  async #write(name: string, content: Uint8Array | string): Promise<void> {
    const path = join(this.path, name);
    const [part] = name.split("/") as [string];
    // A folder that vanishes later is not created again with half of a run.
    if (!this.#isResumed && this.#written.size === 0) await mkdir(this.path, { recursive: true });
    if (part !== name && !this.#written.has(part))
      await makeFolder(dirname(path)).catch((error) => this.#explain(error));
    await writeFileAtomic(path, content).catch((error: unknown) => this.#explain(error));
    this.#written.add(part);
    if (this.#isOwn) return;
    this.#isOwn = true;
    for (const other of Object.values(runFiles)) {
      if (other !== part && (await this.#isReplaceable(other))) await rm(join(this.path, other), { force: true });
    }
    for (const other of (await listing(join(this.path, checkpointsFolder))) ?? []) {
      const isOurs = stepPattern.test(other) || bestPattern.test(other) || other === imageList;
      if (isOurs && `${checkpointsFolder}/${other}` !== name) await this.removeCheckpointFile(other);
    }
    if (part !== checkpointsFolder) await rmdir(join(this.path, checkpointsFolder)).catch(() => {});
    await this.#removeEvents(part === eventsFolder ? basename(name) : undefined);
  }

  #isReplaceable(name: string): boolean | Promise<boolean> {
    return name !== runFiles.card || isReplaceable(join(this.path, name), { read: readFile });
  }

  /** Removes files of events, and their folder if it is empty. */
  async #removeEvents(except?: string): Promise<void> {
    const folder = join(this.path, eventsFolder);
    for (const name of (await listing(folder).catch(() => undefined)) ?? []) {
      if (eventPattern.test(name) && name !== except) await rm(join(folder, name), { force: true });
    }
    if (except === undefined) await rmdir(folder).catch(() => {});
  }
}

/** The first free name `runs/NAME-N` for a run on a folder of images. */
export async function nextRunFolder(images: string): Promise<string> {
  const taken = (await listing(runsFolder)) ?? [];
  const name = nameOf(images).replaceAll("/", "-");
  let number = 1;
  while (taken.includes(`${name}-${number}`)) number++;
  return join(runsFolder, `${name}-${number}`);
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw refusal(path, dirname(path), error);
  });
}

/** Names in a folder; undefined if it does not exist. */
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

/** @throws {UsageError} the output folder is in a folder of images, or contains one. */
export async function assertOutputOutsideImages(output: string, images: readonly string[]): Promise<void> {
  const target = await realPath(output);
  for (const folder of images) {
    const place = await realPath(folder);
    const isInside = isWithin(place, target);
    if (!isInside && !isWithin(target, place)) continue;
    throw new UsageError({
      where: "option --output",
      what: isInside
        ? `the run would be written into the image folder ${folder}`
        : `the image folder ${folder} is in it`,
      received: output,
      expected: `a folder ${isInside ? "outside of it" : "for the run alone"}`,
    });
  }
}

/** Returns true if a path is a folder or below it. */
export function isWithin(folder: string, path: string): boolean {
  const fromFolder = relative(folder, path);
  return fromFolder.split(sep)[0] !== ".." && !isAbsolute(fromFolder);
}

/** Resolves the links of a path as far as it exists. */
async function realPath(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(await realPath(parent), basename(absolute));
  }
}
