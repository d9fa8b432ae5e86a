import type { Platform } from "../platform.ts";
import { listDevices } from "./node-devices.ts";
import { readFile } from "./node-files.ts";
import { listFolder } from "./node-folders.ts";
import { decodeImage, encodePng } from "./node-images.ts";
import { isolate } from "./node-isolation.ts";
import { createSession } from "./node-session.ts";

/** Node: ONNX Runtime's native build and the one in WebAssembly, sharp for images, the file system. */
export const nodePlatform: Platform = {
  name: "node",
  readFile,
  createSession,
  listDevices,
  decodeImage,
  encodePng,
  listFolder,
  isolate,
};
