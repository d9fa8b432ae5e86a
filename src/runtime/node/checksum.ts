import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";

/** An expected checksum of a file, in lower-case hexadecimal digits. */
export interface Checksum {
  /** `git`: the name of the file's blob in git, a SHA-1. */
  readonly algorithm: "md5" | "sha256" | "git";
  readonly digest: string;
}

/** Names of the algorithms in messages. */
export const checksumNames = { md5: "MD5", sha256: "SHA-256", git: "git hash" } as const;

/** Computes the checksum of a file. */
export async function checksumOf(path: string, algorithm: Checksum["algorithm"]): Promise<string> {
  const hash = createHash(algorithm === "git" ? "sha1" : algorithm);
  if (algorithm === "git") hash.update(`blob ${(await stat(path)).size}\0`);
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
