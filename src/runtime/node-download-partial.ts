import { randomUUID } from "node:crypto";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";

/** Longer validators than this do not fit into a file's name. */
const longestValidator = 120;

/**
 * What has been received of a file, in a file of its own beside the place of the whole one. Its name says who writes it,
 * and the server's validator (ETag) of the version it is a part of: `NAME.OWNER.VALIDATOR.partial`.
 */
export class Partial {
  readonly #target: string;
  readonly #owner: string;
  #validator: string | undefined;
  #path: string;
  #size: number;

  constructor(target: string, owner: string, found?: { validator: string | undefined; path: string; size: number }) {
    this.#target = target;
    this.#owner = owner;
    this.#validator = found?.validator;
    this.#path = found?.path ?? pathOf(target, owner, undefined);
    this.#size = found?.size ?? 0;
  }

  get path(): string {
    return this.#path;
  }

  /** How many bytes there are. */
  get size(): number {
    return this.#size;
  }

  /** The server's name for this version of the file, if it gave one. */
  get validator(): string | undefined {
    return this.#validator;
  }

  /** Forgets what there is; what comes next is of the version that the validator names. */
  async restart(validator?: string): Promise<void> {
    this.#size = 0;
    await rm(this.#path, { force: true });
    this.#validator = validator !== undefined && validator.length <= longestValidator ? validator : undefined;
    this.#path = pathOf(this.#target, this.#owner, this.#validator);
  }

  /** Adds what `chunks` bring, as it comes. */
  async append(chunks: AsyncIterable<Uint8Array>, onChunk: (size: number) => void): Promise<void> {
    const file = await open(this.#path, this.#size === 0 ? "w" : "r+");
    try {
      for await (const chunk of chunks) {
        await file.write(chunk, 0, chunk.length, this.#size);
        this.#size += chunk.length;
        onChunk(this.#size);
      }
    } finally {
      await file.close();
    }
  }
}

/**
 * What an earlier attempt has left, if nobody is at work on it any more, else nothing; either way it is ours alone.
 * @param isChecked whether the whole is checked in the end: then any beginning may be tried.
 */
export async function claimPartial(target: string, isChecked: boolean): Promise<Partial> {
  const owner = `${hostname().replaceAll(/[^\w-]/g, "_")}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const prefix = `${basename(target)}.`;
  const names = (await readdir(dirname(target))).filter((name) => name.startsWith(prefix) && name.endsWith(".partial"));
  for (const name of names) {
    const [writer = "", encoded = ""] = name.slice(prefix.length, -".partial".length).split(".");
    const validator = encoded === "" ? undefined : Buffer.from(encoded, "base64url").toString();
    if (isAtWork(writer) || (validator === undefined && !isChecked)) continue;
    const path = pathOf(target, owner, validator);
    try {
      // Of several processes, one can do this.
      await rename(join(dirname(target), name), path);
      const { size } = await stat(path);
      return new Partial(target, owner, { validator, path, size });
    } catch {
      // Another one was faster.
    }
  }
  return new Partial(target, owner);
}

/** Leaves what there is to the next attempt, if that could go on from it. */
export async function releasePartial(partial: Partial, target: string, isChecked: boolean): Promise<void> {
  const { size, validator } = partial;
  if (size === 0 || (validator === undefined && !isChecked)) await rm(partial.path, { force: true }).catch(() => {});
  else await rename(partial.path, pathOf(target, "free", validator)).catch(() => {});
}

function pathOf(target: string, owner: string, validator: string | undefined): string {
  return `${target}.${owner}.${validator === undefined ? "" : Buffer.from(validator).toString("base64url")}.partial`;
}

/** Whether the process that a partial file is called after still runs; of other machines that cannot be known. */
function isAtWork(owner: string): boolean {
  if (owner === "free") return false;
  const match = /^(.+)-(\d+)-[\da-f]{8}$/.exec(owner);
  if (!match || match[1] !== hostname().replaceAll(/[^\w-]/g, "_")) return true;
  try {
    process.kill(Number(match[2]), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
