import type { Platform } from "../platform.ts";
import { readFile } from "./node-files.ts";
import { listFolder } from "./node-folders.ts";
import { decodeImage, encodePng } from "./node-images.ts";
import { createSession } from "./node-session.ts";

/** Node: ONNX Runtime's native build, sharp for pictures, the file system. */
export const nodePlatform: Platform = { name: "node", readFile, createSession, decodeImage, encodePng, listFolder };
