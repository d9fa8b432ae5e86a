import * as ort from "onnxruntime-web/webgpu";
import { WorkQueue } from "../../base/work-queue.ts";
import type { ImageSession } from "../wasm/session.ts";
import type { Gpu } from "./gpu.ts";
import { openOnnxSession, versionOf } from "./onnx-session.ts";

/** The build does one thing at a time, whatever the session: its stack is unwound while the GPU computes. */
const queue = new WorkQueue();

/**
 * Loads an ONNX model into ONNX Runtime's WebGPU build.
 * @param folder URL of the folder with the build's files; default: beside this module.
 * @throws {RuntimeUnavailableError} the build does not load, or it rejects the model.
 */
export function createGpuSession(model: Uint8Array, { device }: Gpu, folder?: string): Promise<ImageSession> {
  ort.env.wasm.numThreads = 1;
  if (folder !== undefined) ort.env.wasm.wasmPaths = folder;
  const provider = { name: "webgpu", device } as never;
  return openOnnxSession(ort, model, { executionProviders: [provider] }, queue);
}

/** Version of the build. */
export function gpuEngineVersion(): string {
  return versionOf(ort);
}
