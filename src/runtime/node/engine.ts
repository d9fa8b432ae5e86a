import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import { messageOf, RuntimeUnavailableError, UsageError } from "../../base/errors.ts";
import { assertOption, wholeNumber } from "../../base/kinds.ts";
import type {
  Device,
  DeviceFeeds,
  DeviceResults,
  DeviceStatus,
  DeviceTensor,
  ProfileEvent,
  Session,
  SessionOptions,
  Tensors,
} from "../../base/platform.ts";
import { isProgram } from "../../graph/program.ts";
import { fromEngineTensors, mapValues, toEngineTensors } from "../engine-tensors.ts";

/** ONNX Runtime's native build. */
type NativeEngine = typeof import("onnxruntime-node");

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
  // Its errors are thrown; they need not be on standard error, too. Must be set before the first session.
  engine.env.logLevel = "fatal";
  return engine;
}

async function disableTelemetry(): Promise<void> {
  process.env.ORT_DISABLE_TELEMETRY = "1";
  // A worker thread only has a copy of the environment that native code reads. On Windows the engine neither knows the
  // variable nor sends anything itself.
  if (isMainThread || process.platform === "win32") return;
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  const read = libc.func("const char *getenv(const char *name)");
  const write = libc.func("int setenv(const char *name, const char *value, int overwrite)");
  if (read("ORT_DISABLE_TELEMETRY") !== "1") write("ORT_DISABLE_TELEMETRY", "1", 1);
}

/** The native build's CPU. */
export const defaultDevice: Device = "cpu";

/**
 * Loads an ONNX model into ONNX Runtime: its native build, or for the device `wasm` the one in WebAssembly; or a program into
 * our own engine in WebAssembly.
 * @throws {RuntimeUnavailableError} the device is not available, or the engine rejects the model; the message includes
 * the engine's own.
 * @throws {UsageError} the number of threads is not a whole number from 1.
 */
export async function createSession(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
  if (options.threads !== undefined) assertOption("option threads", options.threads, wholeNumber({ from: 1 }));
  const { isolation, compileFor: _, ...others } = options;
  if (isolation) return (await import("./isolated-session.ts")).createIsolatedSession(model, others, isolation);
  const { device = defaultDevice } = options;
  if (device === "fastest") {
    throw new RuntimeUnavailableError({
      where: `device "${device}"`,
      what: "devices are only compared in browsers",
      expected: "a device that `xception doctor` finds",
    });
  }
  if (isProgram(model)) return createProgramSession(model, options);
  if (device === "wasm") return createWasmSession(model, options);
  const engine = await loadEngine();
  const isWebGpu = device === "webgpu";
  const profileFolder = options.profile ? await mkdtemp(join(tmpdir(), "xception-profile-")) : undefined;
  // With the CPU in the list, an unavailable device would silently be replaced by it. Single operators that a device
  // lacks run on the CPU either way.
  const settings: InferenceSession.SessionOptions = {
    executionProviders: [device],
    graphOptimizationLevel: options.optimize === false ? "disabled" : "all",
    // With it, the second run allocates one large block while the blocks of the first stay: half as much memory again in
    // training, and no faster.
    enableMemPattern: false,
    // Its threads otherwise wait for the next run in a busy loop, for tens of milliseconds, and take the cores from decoding.
    extra: { session: { force_spinning_stop: "1" } },
    intraOpNumThreads: options.threads ?? availableParallelism(),
    // Fatal errors only: others are thrown, and warnings concern the engine's own optimizations.
    logSeverityLevel: 4,
    ...(options.keep && isWebGpu && { preferredOutputLocation: locationsOf(options.keep) }),
    ...(profileFolder && { enableProfiling: true, profileFilePrefix: join(profileFolder, "profile") }),
  };
  try {
    const session = await engine.InferenceSession.create(model, settings);
    return new (isWebGpu ? DeviceSession : NodeSession)(engine, session, profileFolder);
  } catch (error) {
    if (profileFolder !== undefined) await rm(profileFolder, { recursive: true });
    throw await explainFailure(device, error);
  }
}

async function explainFailure(device: Device, cause: unknown): Promise<RuntimeUnavailableError> {
  const reason = device === "cpu" ? undefined : await whyUnavailable(device);
  if (reason !== undefined) return unavailable(device, reason);
  return new RuntimeUnavailableError({
    where: "ONNX Runtime",
    what: `it cannot load the model: ${messageOf(cause)}`,
    cause,
  });
}

function locationsOf(kept: readonly string[]): Readonly<Record<string, "gpu-buffer">> {
  return Object.fromEntries(kept.map((name) => [name, "gpu-buffer"]));
}

/** A session of the engine's native build. */
class NodeSession implements Session {
  protected readonly engine: NativeEngine;
  protected readonly session: InferenceSession;
  readonly #profileFolder: string | undefined;
  #released: Promise<void> | undefined;

  constructor(engine: NativeEngine, session: InferenceSession, profileFolder: string | undefined) {
    this.engine = engine;
    this.session = session;
    this.#profileFolder = profileFolder;
  }

  get outputShapes(): ReadonlyMap<string, readonly (number | string)[]> {
    const { outputMetadata } = this.session;
    return new Map(outputMetadata.flatMap((each) => (each.isTensor ? [[each.name, each.shape]] : [])));
  }

  async run(feeds: Tensors): Promise<Tensors> {
    return fromEngineTensors(await this.session.run(toEngineTensors(feeds, this.engine.Tensor)));
  }

  async endProfiling(): Promise<readonly ProfileEvent[]> {
    if (this.#profileFolder === undefined) return [];
    this.session.endProfiling();
    const [file] = await readdir(this.#profileFolder);
    const events: EngineEvent[] = JSON.parse(await readFile(join(this.#profileFolder, file!), "utf8"));
    return events
      .filter(({ cat, name }) => cat === "Node" && name.endsWith("_kernel_time"))
      .map(({ name, dur, args }) => ({
        operator: args?.op_name ?? "",
        node: name.slice(0, -"_kernel_time".length),
        durationMs: dur / 1000,
      }));
  }

  dispose(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    await this.session.release();
    if (this.#profileFolder !== undefined) await rm(this.#profileFolder, { recursive: true });
  }
}

/** ONNX Runtime's profile, in the format of Chrome's tracer; durations in microseconds. */
interface EngineEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** A session on WebGPU, whose results can stay in buffers there. */
class DeviceSession extends NodeSession {
  async runOnDevice(feeds: DeviceFeeds): Promise<DeviceResults> {
    const results = Object.entries(await this.session.run(mapValues(feeds, this.#engineFeed)));
    const isKept = ([, { location }]: (typeof results)[number]) => location === "gpu-buffer";
    return {
      tensors: fromEngineTensors(Object.fromEntries(results.filter((result) => !isKept(result)))),
      kept: Object.fromEntries(results.filter(isKept).map(([name, tensor]) => [name, new GpuTensor(tensor)])),
    };
  }

  #engineFeed = (tensor: DeviceFeeds[string], name: string): Tensor => {
    if (tensor instanceof GpuTensor) return tensor.tensor;
    if ("device" in tensor) {
      throw new UsageError({
        where: `input "${name}"`,
        what: "its tensor is on another device",
        received: tensor.device,
        expected: "webgpu",
      });
    }
    return toEngineTensors({ tensor }, this.engine.Tensor).tensor!;
  };
}

/** The binding's own `getData` on it would end the process (onnxruntime-node 1.30). */
class GpuTensor implements DeviceTensor {
  readonly device = "webgpu";
  readonly tensor: Tensor;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
  }

  get shape(): readonly number[] {
    return this.tensor.dims;
  }

  dispose(): void {
    this.tensor.dispose();
  }
}

/** The smallest possible model: y = max(x, 0) for one number. A test rebuilds it with the compiler. */
export const probeModel = Uint8Array.from(
  atob(
    "CAkSC3hjZXB0aW9uLXRzOkIKFAoBeBIBeRoGUmVsdTp5IgRSZWx1Egh4Y2VwdGlvbloPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCAhAS",
  ),
  (character) => character.charCodeAt(0),
);

const remedies: Readonly<Partial<Record<Device, string>>> = {
  webgpu:
    "It needs a GPU with a driver of Vulkan, Direct3D 12 or Metal, on Linux the library libvulkan1 too; " +
    "a software driver such as SwiftShader is selected with VK_ICD_FILENAMES.",
  cuda: nvidiaRemedy("cuDNN 9"),
  tensorrt: nvidiaRemedy("TensorRT"),
  dml: "It needs Windows with DirectX 12.",
  coreml: "It needs macOS.",
};

function nvidiaRemedy(library: string): string {
  return (
    `It needs an NVIDIA GPU with CUDA 12 and ${library}, and onnxruntime-node's CUDA libraries: its script/install.js, ` +
    "run with --onnxruntime-node-install=cuda12, downloads them."
  );
}

/** Version of the native engine. */
export async function engineVersion(): Promise<string> {
  return (await loadEngine()).env.versions.node ?? "unknown";
}

/** Lists the devices of this operating system's engine; one is available if it loads a tiny model. */
export async function listDevices(): Promise<readonly DeviceStatus[]> {
  const engine = await loadEngine();
  const native = engine.listSupportedBackends().map(({ name }) => name as Device);
  const { probeDevice } = await import("./isolated-session.ts");
  return Promise.all(
    [...native, "wasm" as const].map(async (device) => {
      // Drivers of graphics cards print on standard error, and may crash.
      const isDriver = device !== "cpu" && device !== "wasm";
      const reason = await (isDriver ? probeDevice(device).catch(firstSentence) : whyUnavailable(device));
      return { device, available: reason === undefined, ...(reason !== undefined && { reason }) };
    }),
  );
}

/** Returns why the engine cannot compute on a device, or undefined if it can. */
export async function whyUnavailable(device: Device): Promise<string | undefined> {
  try {
    if (device === "wasm") await (await createWasmSession(probeModel)).dispose();
    else {
      const settings = { executionProviders: [device], logSeverityLevel: 4 } as const;
      await (await (await loadEngine()).InferenceSession.create(probeModel, settings)).release();
    }
    return undefined;
  } catch (error) {
    return firstSentence(error);
  }
}

/** The error of an unavailable device: the alternatives, and how to get it. */
export function unavailable(device: Device, reason: string): RuntimeUnavailableError {
  return new RuntimeUnavailableError({
    where: `device "${device}"`,
    what: `ONNX Runtime cannot compute on it here (${reason})`,
    expected: "cpu or wasm, which run everywhere, or another device that `xception doctor` finds",
    ...(remedies[device] !== undefined && { remedy: remedies[device] }),
  });
}

async function createProgramSession(program: Uint8Array, options: SessionOptions): Promise<Session> {
  const [engine, { startThread }] = await Promise.all([import("../wasm/session.ts"), import("./wasm-threads.ts")]);
  const { threads = availableParallelism(), profile } = options;
  return engine.createProgramSession(program, { threads, startThread, ...(profile && { profile }) });
}

async function createWasmSession(model: Uint8Array, options?: SessionOptions): Promise<Session> {
  return (await import("../web/session.ts")).createWebSession(model, { ...options, threads: 1 });
}

/** Removes source locations and line breaks from an engine message. */
function firstSentence(error: unknown): string {
  const message = messageOf(error);
  return message
    .trim()
    .split("\n")[0]!
    .replace(/^\/\S+:\d+ .* was false\. /, "")
    .replace(/[.]$/, "");
}
