import type { ImageCodec, Platform, SourceReader } from "../../base/platform.ts";
import { imageCodec } from "../../base/source.ts";
import { nodeDownloads } from "./downloads.ts";
import { createSession, defaultDevice, listDevices } from "./engine.ts";
import { listFolder, readFile, writeFileAtomic } from "./files.ts";
import { decodeImage, encodePng, prepareDecoder } from "./images.ts";
import { isolate } from "./isolation.ts";

const reader: Required<SourceReader> = {
  files: { read: readFile, list: listFolder, write: writeFileAtomic },
  downloads: nodeDownloads,
  isolate,
};

/** Images decoded by sharp; those of URLs are read by `reader`. */
export function nodeImages(reader: SourceReader): ImageCodec {
  return { ...imageCodec({ decode: decodeImage, encodePng }, reader), prepare: prepareDecoder };
}

/**
 * Node: ONNX Runtime's native build and the one in WebAssembly, sharp for images, the file system, downloads into the
 * user's cache. Native parts are loaded on first use.
 */
export const nodePlatform: Required<Platform> = {
  name: "node",
  engine: { defaultDevice, createSession, listDevices },
  images: nodeImages(reader),
  ...reader,
};
