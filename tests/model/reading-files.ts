import type { FileSystem, SourceReader } from "../../src/base/platform.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";

/** Node's files, read by a function of the test. */
export function readingFiles(read: FileSystem["read"]): SourceReader {
  return { files: { ...nodePlatform.files, read } };
}
