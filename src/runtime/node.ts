import type { Platform } from "../platform.ts";
import { imageCodec } from "../source.ts";
import { listDevices } from "./node-devices.ts";
import { decodeImage, encodePng } from "./node-images.ts";
import { nodeReader } from "./node-reader.ts";
import { createSession, defaultDevice } from "./node-session.ts";

/** Node: ONNX Runtime's native build and the one in WebAssembly, sharp for images, the file system. */
export const nodePlatform: Required<Platform> = {
  name: "node",
  engine: { defaultDevice, createSession, listDevices },
  images: imageCodec({ decode: decodeImage, encodePng }, nodeReader),
  ...nodeReader,
};
