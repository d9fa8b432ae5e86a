import { isMainThread } from "node:worker_threads";

export type { InferenceSession, Tensor } from "onnxruntime-node";

/** ONNX Runtime's native build. */
export type NativeEngine = typeof import("onnxruntime-node");

let loading: Promise<NativeEngine> | undefined;

/**
 * Loads ONNX Runtime's native build on first use, with its telemetry off unless `XCEPTION_ORT_TELEMETRY=1`. Every use of
 * the engine goes through here: it reads `ORT_DISABLE_TELEMETRY` once, while it loads.
 */
export function loadEngine(): Promise<NativeEngine> {
  loading ??= load();
  return loading;
}

async function load(): Promise<NativeEngine> {
  if (process.env.XCEPTION_ORT_TELEMETRY !== "1") await disableTelemetry();
  const engine = await import("onnxruntime-node");
  // Its errors come back as exceptions, and need not be on the standard error stream, too. Set before the first session.
  engine.env.logLevel = "fatal";
  return engine;
}

async function disableTelemetry(): Promise<void> {
  process.env.ORT_DISABLE_TELEMETRY = "1";
  // A worker thread has a copy of the environment, so native code must be told directly. On Windows the engine neither
  // knows the variable nor sends anything itself.
  if (isMainThread || process.platform === "win32") return;
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  const read = libc.func("const char *getenv(const char *name)");
  const write = libc.func("int setenv(const char *name, const char *value, int overwrite)");
  if (read("ORT_DISABLE_TELEMETRY") !== "1") write("ORT_DISABLE_TELEMETRY", "1", 1);
}
