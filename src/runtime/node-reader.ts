import type { SourceReader } from "../platform.ts";
import { readFile } from "./node-files.ts";
import { listFolder } from "./node-folders.ts";
import { isolate } from "./node-isolation.ts";

/** Node's file system, without the engine and the image decoder, which take a while to load. */
export const nodeReader: Required<SourceReader> = { files: { read: readFile, list: listFolder }, isolate };
