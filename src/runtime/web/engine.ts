import type { DeviceStatus, Engine, Session, SessionOptions } from "../../base/platform.ts";

/** Options of the engines in a browser. */
export interface WebEngineOptions {
  /**
   * URL of the folder with ONNX Runtime's files, `ort-wasm-simd-threaded.wasm` and the like; default: where the bundler put
   * them.
   */
  readonly onnxruntime?: string | undefined;
}

/** The engines of a browser, loaded on first use. */
export function webEngine(options: WebEngineOptions = {}): Engine {
  return {
    defaultDevice: "wasm",
    createSession: (model, session) => createSession(model, session, options),
    listDevices,
  };
}

async function createSession(
  model: Uint8Array,
  session: SessionOptions | undefined,
  { onnxruntime }: WebEngineOptions,
): Promise<Session> {
  const { createWebSession } = await import("./session.ts");
  const { threads = availableThreads() } = session ?? {};
  return createWebSession(model, { ...session, threads }, onnxruntime);
}

/** Threads that share memory, which a browser only allows where the page is isolated from other origins. */
function availableThreads(): number {
  return crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
}

async function listDevices(): Promise<readonly DeviceStatus[]> {
  return [{ device: "wasm", available: true }];
}
