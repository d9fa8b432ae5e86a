import { UsageError } from "./errors.ts";
import type { SourceReader } from "./platform.ts";

/**
 * Reads the bytes that a path names.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {UsageError} the platform has no files.
 */
export async function readSource(source: string, { files }: SourceReader): Promise<Uint8Array> {
  if (files) return files.read(source);
  throw new UsageError({ where: `file "${source}"`, what: "this platform has no files", expected: "the file's bytes" });
}
