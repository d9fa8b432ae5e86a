import type { DeviceStatus, Engine, EngineReport, Session, SessionOptions } from "../../base/platform.ts";
import { decodeProgram, isProgram } from "../../graph/program.ts";
import { sizeOf } from "../../tensor/shape.ts";

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
  options: SessionOptions | undefined,
  { onnxruntime }: WebEngineOptions,
): Promise<Session> {
  if (isProgram(model)) return createOwnSession(model, options);
  const { createWebSession, webEngineVersion } = await import("./session.ts");
  const { threads = availableThreads() } = options ?? {};
  const session = await createWebSession(model, { ...options, threads }, onnxruntime);
  const reasons = ["ONNX Runtime runs the graphs of other tools and training.", threadsReason(threads)];
  const runMs = session.imageInput && (await measuredRun(session, session.imageInput));
  session.report = { name: `ONNX Runtime ${webEngineVersion()}`, device: "wasm", threads, reasons, runMs };
  return session;
}

/** Loads a program into our own engine. */
async function createOwnSession(program: Uint8Array, options: SessionOptions | undefined): Promise<Session> {
  const { createProgramSession } = await import("../wasm/session.ts");
  const session = await createProgramSession(program, { threads: 1, profile: options?.profile ?? false });
  const { name, shape, type } = decodeProgram(program).program.input;
  const input = type === "uint8" ? { name, shape: [1, ...shape.slice(1)] } : undefined;
  const report: EngineReport = {
    name: "xception-ts",
    device: "wasm",
    threads: 1,
    reasons: ["Our own engine is the fastest one for networks of this package. It uses one thread in browsers."],
    runMs: input && (await measuredRun(session, input)),
  };
  return Object.assign(session, { report });
}

/** Milliseconds of the second run on one image: the first one includes preparations. */
async function measuredRun(
  session: Session,
  { name, shape }: { readonly name: string; readonly shape: readonly number[] },
): Promise<number> {
  const feeds = { [name]: { type: "uint8", shape, data: new Uint8Array(sizeOf(shape)) } } as const;
  await session.run(feeds);
  const start = performance.now();
  await session.run(feeds);
  return performance.now() - start;
}

/** Threads that share memory, which a browser only allows where the page is isolated from other origins. */
function availableThreads(): number {
  return globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
}

function threadsReason(threads: number): string {
  if (threads > 1) return `${threads} threads: the page is isolated from other origins.`;
  if (globalThis.crossOriginIsolated) return "One thread, as requested, or because there is only one core.";
  return (
    "One thread: the page is not isolated from other origins. Serve it with the headers " +
    "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp."
  );
}

async function listDevices(): Promise<readonly DeviceStatus[]> {
  return [{ device: "wasm", available: true }];
}
