import { randomUUID } from "node:crypto";
import type { Dirent } from "node:fs";
import { mkdir, open, readdir, readFile as readFromDisk, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { DataError, FileError } from "../../base/errors.ts";
import type { FolderListing } from "../../base/platform.ts";

/**
 * Reads a whole file.
 * @param path or a `file:` URL.
 * @throws {FileError} it is missing, a folder, a pipe or a device, or cannot be read.
 */
export async function readFile(path: string | URL): Promise<Uint8Array> {
  try {
    const status = await stat(path);
    // Opening a pipe or a device could block forever.
    if (!status.isFile() && !status.isDirectory()) {
      throw new FileError({ where: `file "${path}"`, what: "this is not a regular file", expected: "a file to read" });
    }
    const whole = await readAtOnce(path, status.size);
    if (whole !== undefined) return whole;
    const { buffer, byteOffset, length } = await readFromDisk(path);
    return new Uint8Array(buffer, byteOffset, length);
  } catch (error) {
    if (error instanceof FileError) throw error;
    const cause = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = { ENOENT: "there is no such file", EISDIR: "this is a folder" };
    const what = reasons[cause.code ?? ""] ?? `it cannot be read (${cause.message})`;
    throw new FileError({ where: `file "${path}"`, what, cause }, { isMissing: cause.code === "ENOENT" });
  }
}

/** Reads in one piece: Node's `readFile` reads in many, each of which waits for a busy main thread. */
async function readAtOnce(path: string | URL, size: number): Promise<Uint8Array | undefined> {
  // Node aborts if more is asked for.
  if (size >= 2 ** 31) return;
  const file = await open(path);
  try {
    const bytes = new Uint8Array(size);
    const { bytesRead } = await file.read(bytes, 0, size);
    const { bytesRead: more } = await file.read(new Uint8Array(1));
    // Files of `/proc` have no size, others may be growing.
    return bytesRead === size && more === 0 ? bytes : undefined;
  } finally {
    await file.close();
  }
}

/**
 * Creates a folder and its missing parents. Node's own `recursive` never returns if an existing folder rejects a new
 * one as missing, as in `/proc`.
 * @throws {FileError} it cannot be created.
 */
export async function makeFolders(path: string): Promise<void> {
  const isThere = async (folder: string) => (await stat(folder).catch(() => undefined))?.isDirectory() === true;
  try {
    const parent = dirname(resolve(path));
    if (!(await isThere(parent)) && parent !== resolve(path)) await makeFolders(parent);
    if (!(await isThere(path))) await mkdir(path);
  } catch (error) {
    if (await isThere(path)) return;
    const cause = (error instanceof FileError ? error.cause : error) as Error;
    const remedy = "Choose another folder.";
    throw new FileError({ where: `folder "${path}"`, what: `it cannot be made (${cause.message})`, remedy, cause });
  }
}

/**
 * Writes a whole file or none: to a temporary name in the same folder, flushed to the disk, then renamed. A crash, a
 * full disk or a reader in between never sees half of it. The folder must exist; a symbolic link is followed.
 * @throws {FileError} the folder is missing or not writable, or the path is a folder or a device.
 */
export async function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  const { target, temporary } = await placeOf(path);
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw writeError(path, dirname(target), error as NodeJS.ErrnoException);
  }
}

/**
 * Checks before long work that its result can be written: creates a temporary file in the same folder and removes it.
 * @throws as {@link writeFileAtomic}.
 */
export async function assertWritable(path: string): Promise<void> {
  const { target, temporary } = await placeOf(path);
  try {
    await (await open(temporary, "wx")).close();
    await rm(temporary);
  } catch (error) {
    throw writeError(path, dirname(target), error as NodeJS.ErrnoException);
  }
}

/**
 * Writes a file and others beside it that it names. It comes last, so that it exists only when they do; an old one stays whole
 * until then if `beside` replaces none of its files.
 * @param named lists the files beside it that a content names: those of a replaced file that are no longer needed are deleted.
 * @throws as {@link writeFileAtomic}; new files are deleted then.
 */
export async function writeFilesAtomic(
  path: string,
  content: Uint8Array | string,
  beside: ReadonlyMap<string, Uint8Array>,
  named: (content: Uint8Array) => readonly string[] = () => [],
): Promise<void> {
  const folder = dirname(path);
  const replaced = await readFile(path).catch(() => undefined);
  const written: string[] = [];
  try {
    for (const [name, bytes] of beside) {
      const other = join(folder, name);
      const isNew = !(await stat(other).catch(() => undefined));
      await writeFileAtomic(other, bytes);
      if (isNew) written.push(other);
    }
    await writeFileAtomic(path, content);
  } catch (error) {
    for (const other of written) await rm(other, { force: true }).catch(() => {});
    throw error;
  }
  const old = replaced === undefined ? [] : named(replaced);
  for (const name of old.filter((each) => !beside.has(each))) {
    await rm(join(folder, name), { force: true }).catch(() => {});
  }
}

/** Flushes a folder, so that a new name in it survives a power failure. Not every system can open folders. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

/**
 * Returns a file's place, links followed, and its name until it is complete. Renaming onto a device such as `/dev/null`
 * would replace the device.
 * @throws {FileError} the path is a folder or a device.
 */
async function placeOf(path: string): Promise<{ readonly target: string; readonly temporary: string }> {
  const target = await realpath(path).catch(() => resolve(path));
  const temporary = join(dirname(target), `.${basename(target)}.${randomUUID().slice(0, 8)}.tmp`);
  const existing = await stat(target).catch(() => undefined);
  if (existing === undefined || existing.isFile()) return { target, temporary };
  throw new FileError({
    where: `file "${path}"`,
    what: existing.isDirectory() ? "this is a folder" : "this is not a regular file",
    expected: "the name of a file to write",
  });
}

function writeError(path: string, folder: string, cause: NodeJS.ErrnoException): FileError {
  const notWritable = { what: `the folder ${folder} is not writable` };
  const full = { what: "the disk is full", remedy: "Make room on it." };
  const reasons: Readonly<Record<string, { readonly what: string; readonly remedy?: string }>> = {
    ENOENT: { what: `the folder ${folder} does not exist`, remedy: "Create it first." },
    ENOTDIR: { what: `${folder} is not a folder` },
    EACCES: notWritable,
    EPERM: notWritable,
    EROFS: notWritable,
    ENOSPC: full,
    EDQUOT: full,
  };
  const reason = reasons[cause.code ?? ""] ?? { what: `it could not be written (${cause.message})` };
  return new FileError({ where: `file "${path}"`, ...reason, cause });
}

/**
 * Lists everything below a folder, recursively; links are followed, except from inside a folder to another listed one. A
 * broken link is listed as a file, so that opening it reports the error.
 * @throws {DataError} the folder is missing, is a file, or it or a folder in it cannot be read.
 */
export async function listFolder(path: string): Promise<FolderListing> {
  const folders: string[] = [];
  const files: string[] = [];
  const visited = new Set<string>();
  /** Followed last, so that a folder is listed under its own name if it is also linked to. */
  const links: { readonly name: string; readonly chain: readonly string[] }[] = [];

  /** @param chain real paths of the folders that lead here; the last is the folder itself. */
  async function visit(relative: string, chain: readonly string[]): Promise<void> {
    const real = chain.at(-1)!;
    visited.add(real);
    if (relative !== "" && !relative.includes("/")) folders.push(relative);
    const folder = join(path, relative);
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(asFolderError(folder))) {
      const name = relative === "" ? entry.name : `${relative}/${entry.name}`;
      const kind = await kindOf(entry, folder);
      if (kind === "file") files.push(name);
      if (kind !== "folder") continue;
      if (entry.isSymbolicLink()) links.push({ name, chain });
      else await visit(name, [...chain, join(real, entry.name)]);
    }
  }

  const realOf = (folder: string) => realpath(folder).catch(asFolderError(folder));
  await visit("", [await realOf(path)]);
  for (const { name, chain } of links) {
    const real = await realOf(join(path, name));
    // Two classes may be links to the same folder; folders inside them that link to each other could go on forever.
    const isListed = name.includes("/") && visited.has(real);
    if (!isListed && !leadsBack(real, chain)) await visit(name, [...chain, real]);
  }
  return { path, folders, files };
}

/** Opening a pipe, socket or device could block forever. */
async function kindOf(entry: Dirent, folder: string): Promise<"file" | "folder" | "other"> {
  if (entry.isDirectory()) return "folder";
  if (entry.isFile()) return "file";
  if (!entry.isSymbolicLink()) return "other";
  const status = await stat(join(folder, entry.name)).catch(() => undefined);
  if (status === undefined || status.isFile()) return "file";
  return status.isDirectory() ? "folder" : "other";
}

/** Returns whether a link's target is one of the folders on the current path, or contains one of them. */
function leadsBack(target: string, chain: readonly string[]): boolean {
  return chain.some((folder) => `${folder}${sep}`.startsWith(target.endsWith(sep) ? target : target + sep));
}

function asFolderError(folder: string) {
  return (cause: NodeJS.ErrnoException): never => {
    const reasons: Record<string, string> = { ENOENT: "there is no such folder", ENOTDIR: "this is not a folder" };
    const what = reasons[cause.code ?? ""] ?? `the folder cannot be read (${cause.code})`;
    throw new DataError({ where: `folder "${folder}"`, what, cause });
  };
}
