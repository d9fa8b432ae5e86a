import { FormatError } from "../../base/errors.ts";
import type { Device, Session, SessionIsolation, SessionOptions, Tensors } from "../../base/platform.ts";
import { WorkQueue } from "../../base/work-queue.ts";
import { GuardedProcess } from "./guarded-process.ts";

/** An order to the engine's process: the result is the output shapes, the outputs, or why a device is not available. */
export type EngineOrder =
  | { readonly load: Uint8Array; readonly options: SessionOptions }
  | { readonly run: Tensors }
  | { readonly probe: Device };

/**
 * Limits that may be reached in a row before the model is given up: with one image that takes too long, a batch and then the
 * image alone do.
 */
const mostFailures = 3;

/**
 * Loads a model into the engine in a process of its own.
 * @throws {FormatError} a limit was reached.
 * @throws {AbortedError} the signal fired.
 * @throws {RuntimeUnavailableError} the device is not available, or the engine rejects the model.
 */
export async function createIsolatedSession(
  model: Uint8Array,
  { signal: loading, ...options }: SessionOptions,
  { where, timeMs, memoryBytes }: SessionIsolation,
): Promise<Session> {
  const queue = new WorkQueue();
  const workUntil = (signal: AbortSignal | undefined) => ({ where, work: "running its graph", timeMs, signal });
  let outputShapes: Session["outputShapes"];
  const load = async (signal: AbortSignal | undefined): Promise<GuardedProcess> => {
    const work = workUntil(signal);
    const started = await GuardedProcess.start("engine-process", memoryBytes, work);
    try {
      outputShapes = await started.ask({ load: model, options } satisfies EngineOrder, work);
    } catch (error) {
      started.end();
      throw error;
    }
    return started;
  };
  let current = await load(loading);
  /** Limits that were reached since the last result. */
  let failures: readonly FormatError[] = [];
  return {
    get outputShapes() {
      return outputShapes;
    },
    run: (feeds, { signal } = {}) =>
      queue.add(async () => {
        if (failures.length >= mostFailures) throw failures[0];
        if (!current.isRunning) current = await load(signal);
        try {
          const tensors = await current.ask<Tensors>({ run: feeds } satisfies EngineOrder, workUntil(signal));
          failures = [];
          return tensors;
        } catch (error) {
          if (error instanceof FormatError && !current.isRunning) failures = [...failures, error];
          throw error;
        }
      }),
    // Profiles stay in the process.
    endProfiling: async () => [],
    dispose: () => queue.add(async () => current.end()),
  };
}

/** Limits of probing a device. */
const probeLimits = { timeMs: 60_000, memoryBytes: 2 ** 33 };

/**
 * Returns why the engine cannot compute on a device, or undefined if it can, by trying it in a process of its own.
 * @throws {FormatError} a limit was reached, or the driver ended the process.
 */
export async function probeDevice(device: Device): Promise<string | undefined> {
  const work = { where: `device "${device}"`, work: "trying it", timeMs: probeLimits.timeMs };
  const probe = await GuardedProcess.start("engine-process", probeLimits.memoryBytes, work);
  return probe.ask<string | undefined>({ probe: device } satisfies EngineOrder, work).finally(() => probe.end());
}
