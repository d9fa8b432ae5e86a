import * as ort from "onnxruntime-web/wasm";
import { RuntimeUnavailableError } from "../../base/errors.ts";
import type { SessionOptions } from "../../base/platform.ts";
import type { ImageSession } from "../wasm/session.ts";
import { openOnnxSession, versionOf } from "./onnx-session.ts";

/**
 * Loads an ONNX model into ONNX Runtime's WebAssembly build, in a browser or in Node.
 * @param options `threads` only applies to the first session: the build starts its threads once. More than one needs a
 * page that is isolated from other origins.
 * @param folder URL of the folder with the build's files; default: beside this module.
 * @throws {RuntimeUnavailableError} another device is requested, the build does not load, or it rejects the model; the
 * message includes the engine's own.
 */
export async function createWebSession(
  model: Uint8Array,
  options: SessionOptions = {},
  folder?: string,
): Promise<ImageSession> {
  const { device = "wasm", threads = 1, optimize = true } = options;
  if (device !== "wasm") {
    throw new RuntimeUnavailableError({
      where: `device "${device}"`,
      what: "ONNX Runtime's WebAssembly build does not compute on it",
      expected: "wasm",
    });
  }
  ort.env.wasm.numThreads = threads;
  if (folder !== undefined) ort.env.wasm.wasmPaths = folder;
  const graphOptimizationLevel = optimize ? "all" : "disabled";
  return openOnnxSession(ort, model, { executionProviders: ["wasm"], graphOptimizationLevel });
}

/** Version of the engine. */
export function webEngineVersion(): string {
  return versionOf(ort);
}
