import type { Platform, SourceReader } from "../platform.ts";
import { imageCodec } from "../source.ts";
import { nodeDownloads } from "./node-downloads.ts";
import { createSession, defaultDevice, listDevices } from "./node-engine.ts";
import { listFolder, readFile, writeFileAtomic } from "./node-files.ts";
import { decodeImage, encodePng } from "./node-images.ts";
import { isolate } from "./node-isolation.ts";

const reader: Required<SourceReader> = {
  files: { read: readFile, list: listFolder, write: writeFileAtomic },
  downloads: nodeDownloads,
  isolate,
};

/**
 * Node: ONNX Runtime's native build and the one in WebAssembly, sharp for images, the file system, downloads into the
 * user's cache. Native parts are loaded on first use.
 */
export const nodePlatform: Required<Platform> = {
  name: "node",
  engine: { defaultDevice, createSession, listDevices },
  images: imageCodec({ decode: decodeImage, encodePng }, reader),
  ...reader,
};
