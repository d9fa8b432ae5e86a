import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { RuntimeUnavailableError } from "../errors.ts";
import type { Device, Session, SessionOptions } from "../platform.ts";
import { unavailable, whyUnavailable } from "./node-devices.ts";
import { type InferenceSession, loadEngine } from "./node-engine.ts";
import { DeviceSession, NodeSession } from "./node-engine-session.ts";

/** The native build's CPU. */
export const defaultDevice: Device = "cpu";

/**
 * Loads an ONNX model into ONNX Runtime: its native build, or for the device `wasm` the one in WebAssembly.
 * @throws {RuntimeUnavailableError} the device is not there, or the engine refuses the model; its own words are in the
 * message.
 */
export async function createSession(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const { device = defaultDevice } = options;
  if (device === "wasm") return (await import("./web-session.ts")).createWebSession(model, { ...options, threads: 1 });
  const engine = await loadEngine();
  const isWebGpu = device === "webgpu";
  const profileFolder = options.profile ? await mkdtemp(join(tmpdir(), "xception-profile-")) : undefined;
  // A list with the CPU in it would fall back on that without a word. Alone, a device that is not there is an
  // error, and single operators that a device lacks run on the CPU nevertheless.
  const settings: InferenceSession.SessionOptions = {
    executionProviders: [device],
    graphOptimizationLevel: options.optimize === false ? "disabled" : "all",
    // Planned in the first run, the second would get one large piece of memory beside the pieces of the first, which stay:
    // half as much again in training, and no faster.
    enableMemPattern: false,
    intraOpNumThreads: options.threads ?? availableParallelism(),
    // Nothing that it could go on from: errors come back as exceptions, and its warnings are about its own optimizations.
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
    what: `it cannot load the model: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
  });
}

function locationsOf(kept: readonly string[]): Readonly<Record<string, "gpu-buffer">> {
  return Object.fromEntries(kept.map((name) => [name, "gpu-buffer"]));
}
