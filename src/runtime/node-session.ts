import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { RuntimeUnavailableError } from "../errors.ts";
import type { Device, ProfileEvent, Session, SessionOptions, Tensors } from "../platform.ts";
import { fromEngineTensors, toEngineTensors } from "./engine-tensors.ts";
import { quieten, unavailable, whyUnavailable } from "./node-devices.ts";

/**
 * Loads an ONNX model into ONNX Runtime: its native build, or for the device `wasm` the one in WebAssembly.
 * @throws {RuntimeUnavailableError} the device is not there, or the engine refuses the model; its own words are in the
 * message.
 */
export async function createSession(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const { device = "cpu" } = options;
  if (device === "wasm") return (await import("./web-session.ts")).createWebSession(model, { ...options, threads: 1 });
  const profileFolder = options.profile ? await mkdtemp(join(tmpdir(), "xception-profile-")) : undefined;
  quieten();
  // A list with the processor in it would fall back on that without a word. Alone, a device that is not there is an
  // error, and single operators that a device lacks run on the processor nevertheless.
  const settings: ort.InferenceSession.SessionOptions = {
    executionProviders: [device],
    graphOptimizationLevel: options.optimize === false ? "disabled" : "all",
    // Planned in the first run, the second would get one large piece of memory beside the pieces of the first, which stay:
    // half as much again in training, and no faster.
    enableMemPattern: false,
    intraOpNumThreads: options.threads ?? availableParallelism(),
    // Errors only, and these come back as exceptions: its warnings are about its own optimizations.
    logSeverityLevel: 3,
    ...(profileFolder && { enableProfiling: true, profileFilePrefix: join(profileFolder, "profile") }),
  };
  try {
    return new NodeSession(await ort.InferenceSession.create(model, settings), profileFolder);
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
    what: `it cannot load the model: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
  });
}

class NodeSession implements Session {
  readonly #session: ort.InferenceSession;
  readonly #profileFolder: string | undefined;

  constructor(session: ort.InferenceSession, profileFolder: string | undefined) {
    this.#session = session;
    this.#profileFolder = profileFolder;
  }

  async run(feeds: Tensors): Promise<Tensors> {
    return fromEngineTensors(await this.#session.run(toEngineTensors(feeds, ort.Tensor)));
  }

  async endProfiling(): Promise<readonly ProfileEvent[]> {
    if (this.#profileFolder === undefined) return [];
    this.#session.endProfiling();
    const [file] = await readdir(this.#profileFolder);
    const events: EngineEvent[] = JSON.parse(await readFile(join(this.#profileFolder, file!), "utf8"));
    await rm(this.#profileFolder, { recursive: true });
    return events
      .filter(({ cat, name }) => cat === "Node" && name.endsWith("_kernel_time"))
      .map(({ name, dur, args }) => ({
        operator: args?.op_name ?? "",
        node: name.slice(0, -"_kernel_time".length),
        durationMs: dur / 1000,
      }));
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

/** What ONNX Runtime writes into its profile, in the format of Chrome's tracer; durations in microseconds. */
interface EngineEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}
