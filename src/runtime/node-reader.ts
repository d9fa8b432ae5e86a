import type { SourceReader } from "../platform.ts";
import { nodeDownloads } from "./node-addresses.ts";
import { readFile, writeFileAtomic } from "./node-files.ts";
import { listFolder } from "./node-folders.ts";
import { isolate } from "./node-isolation.ts";

/** Reads Node's files, and addresses, without the engine and the image decoder, which take a while to load. */
export const nodeReader: Required<SourceReader> = {
  files: { read: readFile, list: listFolder, write: writeFileAtomic },
  downloads: nodeDownloads,
  isolate,
};
