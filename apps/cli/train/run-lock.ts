import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, rmdir, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { FileError, TrainingError } from "../../../src/base/errors.ts";
import { string, wholeNumber } from "../../../src/base/kinds.ts";
import { check, type Described, nullable, object } from "../../../src/base/schema.ts";
import { isProcess } from "../../../src/runtime/node/guarded-process.ts";

/** Name of the lock file in a run's folder. */
export const lockFile = "run.lock";

const ownerSchema = object({
  pid: wholeNumber({ from: 1 }),
  host: string,
  startedAt: string,
  /** Distinguishes a process from a later one with the same id; null if unknown. */
  processStart: nullable(string),
});
type Owner = Described<typeof ownerSchema>;

/** Time after which a lock without content is stale, in milliseconds. */
const graceMs = 5000;

/**
 * Takes the exclusive lock on a run's folder, or takes over that of a dead process. Creates the folder if it does not exist.
 * @param note receives a message about a lock that was taken over.
 * @returns a function that removes the lock, and the folder if it was created and is empty.
 * @throws {TrainingError} another process holds it.
 * @throws {FileError} it cannot be written.
 */
export async function acquireLock(folder: string, note: (text: string) => void): Promise<() => Promise<void>> {
  const owner: Owner = {
    pid: process.pid,
    host: hostname(),
    startedAt: new Date().toISOString(),
    processStart: (await processStart(process.pid)) ?? null,
  };
  const content = `${JSON.stringify(owner)}\n`;
  for (let attempt = 0; attempt < 3; attempt++) {
    const madeFolder = await makeFolder(folder);
    const outcome = await create(folder, content);
    if (outcome === "made") return () => release(folder, content, madeFolder);
    if (outcome === "there") await removeStale(folder, note);
  }
  throw inUse(folder, "it is taken again and again");
}

async function release(folder: string, content: string, madeFolder: boolean): Promise<void> {
  const path = join(folder, lockFile);
  // If it cannot be removed, it is taken over later.
  if ((await contentOf(path)) === content) await rm(path, { force: true }).catch(() => {});
  if (madeFolder) await rmdir(folder).catch(() => {});
}

/** Returns true if a process may be writing into the folder. */
export async function isRunning(folder: string): Promise<boolean> {
  const content = await contentOf(join(folder, lockFile));
  if (content === undefined) return false;
  const owner = ownerOf(content);
  return owner === undefined || owner.host !== hostname() || !(await isGone(owner, folder));
}

/** Returns true if the folder did not exist. */
async function makeFolder(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cannotLock(folder, error as Error);
  }
}

/** A run that ends may remove the folder meanwhile. */
async function create(folder: string, content: string): Promise<"made" | "there" | "no folder"> {
  const path = join(folder, lockFile);
  try {
    const file = await open(path, "wx");
    await file.writeFile(content).finally(() => file.close());
    return "made";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return "there";
    if (code === "ENOENT") return "no folder";
    await rm(path, { force: true }).catch(() => {});
    throw cannotLock(folder, error as Error);
  }
}

/** Removes the lock of a dead process. @throws {TrainingError} it may still be running. */
async function removeStale(folder: string, note: (text: string) => void): Promise<void> {
  const path = join(folder, lockFile);
  const content = await contentOf(path);
  if (content === undefined) return;
  const owner = ownerOf(content);
  const gone = owner === undefined ? await isOld(path) : await isGone(owner, folder);
  if (!gone) throw inUse(folder, owner ? describe(owner) : "another run is just starting");
  // Moved, not deleted: if another process has replaced it meanwhile, it can be restored.
  const aside = `${path}.${randomUUID().slice(0, 8)}`;
  await rename(path, aside).catch(() => {});
  const moved = await contentOf(aside);
  if (moved !== undefined && moved !== content) {
    await rename(aside, path);
    throw inUse(folder, "another run has just started");
  }
  await rm(aside, { force: true });
  const whose = owner ? describe(owner) : "a run that did not start";
  note(`Took over the lock of ${whose}: it is no longer running.`);
}

async function isGone(owner: Owner, folder: string): Promise<boolean> {
  if (owner.host !== hostname()) {
    const remedy = `This machine cannot check whether it is running; if it is not, delete ${join(folder, lockFile)}.`;
    throw inUse(folder, describe(owner), remedy);
  }
  if (!isProcess(owner.pid)) return true;
  const start = await processStart(owner.pid);
  return owner.processStart !== null && start !== undefined && start !== owner.processStart;
}

/** On Linux: the boot id of the machine, and the start time of the process since then. */
async function processStart(pid: number): Promise<string | undefined> {
  try {
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    const status = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field, the program's name, may hold blanks and parentheses; the start is the 22nd.
    const ticks = status.slice(status.lastIndexOf(")") + 2).split(" ")[19];
    return `${boot}/${ticks}`;
  } catch {
    return undefined;
  }
}

async function contentOf(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(() => undefined);
}

function ownerOf(content: string): Owner | undefined {
  try {
    return check(ownerSchema, JSON.parse(content)).value;
  } catch {
    return undefined;
  }
}

async function isOld(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  return status === undefined || Date.now() - status.mtimeMs > graceMs;
}

function describe({ pid, host, startedAt }: Owner): string {
  return `process ${pid} on ${host}, started ${startedAt}`;
}

function inUse(folder: string, who: string, remedy = "Wait for it, stop it, or choose another folder."): TrainingError {
  return new TrainingError({ where: `folder "${folder}"`, what: `another run is writing into it (${who})`, remedy });
}

function cannotLock(folder: string, cause: Error): FileError {
  const what = `the lock of the run cannot be written (${cause.message})`;
  return new FileError({ where: `folder "${folder}"`, what, cause });
}
