import type { DeviceStatus, Engine, Session, SessionOptions } from "../../base/platform.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { ImageSession } from "../wasm/session.ts";

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
    choosesDevice: true,
    // A failure is reported where the code is needed.
    prepare: () => void loadProgramEngine().catch(() => {}),
    createSession: (model, session) => createSession(model, session, options),
    listDevices,
  };
}

async function createSession(
  model: Uint8Array,
  options: SessionOptions = {},
  { onnxruntime }: WebEngineOptions,
): Promise<Session> {
  const { device, ...others } = options;
  if (device !== "webgpu" && device !== "fastest") return wasmSession(model, options, onnxruntime);
  const { chooseSession } = await import("./gpu-choice.ts");
  return chooseSession(model, options, (bytes) => wasmSession(bytes, others, onnxruntime), onnxruntime);
}

/** Runs programs in our own engine, and ONNX models in ONNX Runtime's. */
async function wasmSession(model: Uint8Array, options: SessionOptions, onnxruntime: string | undefined) {
  const { threads = availableThreads() } = options;
  // Not on the page, whose worker runs the models.
  const { isProgram } = await import("../../graph/program.ts");
  const { name, session, failure } = isProgram(model)
    ? await programSession(model, threads, options.profile)
    : await onnxSession(model, { ...options, threads }, onnxruntime);
  session.report = {
    name,
    device: "wasm",
    threads: failure === undefined ? threads : 1,
    reasons: [failure === undefined ? threadsReason(threads) : `One thread: ${failure}`],
    runMs: await measuredRun(session),
  };
  return session;
}

function loadProgramEngine() {
  return Promise.all([import("../wasm/session.ts"), import("../wasm/web-assembly.ts"), import("./program-threads.ts")]);
}

async function programSession(program: Uint8Array, threads: number, profile = false) {
  const [{ createProgramSession }, { fastestBuild }, { startProgramThread }] = await loadProgramEngine();
  let failure: string | undefined;
  const create = (count: number) =>
    createProgramSession(program, { threads: count, profile, startThread: startProgramThread });
  const session = await create(threads).catch((error: unknown) => {
    if (threads === 1) throw error;
    failure = (error as Error).message;
    return create(1);
  });
  return { name: `xception-ts, ${fastestBuild()} SIMD`, session, failure };
}

async function onnxSession(model: Uint8Array, options: SessionOptions, onnxruntime: string | undefined) {
  const { createWebSession, webEngineVersion } = await import("./session.ts");
  const session = await createWebSession(model, options, onnxruntime);
  return { name: `ONNX Runtime ${webEngineVersion()}`, session, failure: undefined };
}

/** Milliseconds of the second run on one image: the first one includes preparations. */
async function measuredRun(session: ImageSession): Promise<number | undefined> {
  const input = session.imageInput;
  if (input?.type !== "uint8") return undefined;
  const { name, shape } = input;
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
