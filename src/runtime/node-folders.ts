import type { Dirent } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { DataError } from "../errors.ts";
import type { FolderListing } from "../platform.ts";

/**
 * Lists what lies below a folder, at any depth; links are followed, loops of links are not. A link that leads nowhere is
 * listed as a file, so that whoever opens it can report it.
 * @throws {DataError} the folder is missing, is a file, or it or a folder in it cannot be read.
 */
export async function listFolder(path: string): Promise<FolderListing> {
  const folders: string[] = [];
  const files: string[] = [];

  async function visit(relative: string, chain: readonly string[]): Promise<void> {
    const folder = join(path, relative);
    for (const entry of await readFolder(folder)) {
      const name = relative === "" ? entry.name : `${relative}/${entry.name}`;
      const kind = await kindOf(entry, folder);
      if (kind === "file") files.push(name);
      if (kind !== "folder") continue;
      const real = await realPathOf(join(folder, entry.name));
      if (entry.isSymbolicLink() && leadsBack(real, chain)) continue;
      if (relative === "") folders.push(name);
      await visit(name, [...chain, real]);
    }
  }

  await visit("", [await realPathOf(path)]);
  return { path, folders, files };
}

async function realPathOf(folder: string): Promise<string> {
  return realpath(folder).catch((error) => refuse(folder, error));
}

async function readFolder(folder: string): Promise<Dirent[]> {
  return readdir(folder, { withFileTypes: true }).catch((error) => refuse(folder, error));
}

/** Pipes, sockets and devices are neither: opening one could block for ever. */
async function kindOf(entry: Dirent, folder: string): Promise<"file" | "folder" | "other"> {
  if (entry.isDirectory()) return "folder";
  if (entry.isFile()) return "file";
  if (!entry.isSymbolicLink()) return "other";
  const status = await stat(join(folder, entry.name)).catch(() => undefined);
  if (status === undefined || status.isFile()) return "file";
  return status.isDirectory() ? "folder" : "other";
}

/** Whether a link's target is one of the folders we came through, or holds one of them. */
function leadsBack(target: string, chain: readonly string[]): boolean {
  return chain.some((folder) => folder === target || folder.startsWith(target.endsWith(sep) ? target : target + sep));
}

function refuse(folder: string, error: NodeJS.ErrnoException): never {
  const reasons: Record<string, string> = { ENOENT: "there is no such folder", ENOTDIR: "this is not a folder" };
  const what = reasons[error.code ?? ""] ?? `the folder cannot be read (${error.code})`;
  throw new DataError({ where: `folder "${folder}"`, what, cause: error });
}
