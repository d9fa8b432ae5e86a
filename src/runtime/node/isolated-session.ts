import { FormatError } from "../../base/errors.ts";
import type {
  Device,
  ProfileEvent,
  RunOptions,
  Session,
  SessionIsolation,
  SessionOptions,
  Tensors,
} from "../../base/platform.ts";
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
  { signal, ...options }: SessionOptions,
  isolation: SessionIsolation,
): Promise<Session> {
  const session = new IsolatedSession(model, options, isolation);
  await session.load(signal);
  return session;
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

class IsolatedSession implements Session {
  readonly #model: Uint8Array;
  readonly #options: SessionOptions;
  readonly #isolation: SessionIsolation;
  readonly #queue = new WorkQueue();
  #process: GuardedProcess | undefined;
  /** Limits that were reached since the last result. */
  #failures: readonly FormatError[] = [];
  #outputShapes: Session["outputShapes"];

  constructor(model: Uint8Array, options: SessionOptions, isolation: SessionIsolation) {
    this.#model = model;
    this.#options = options;
    this.#isolation = isolation;
  }

  get outputShapes() {
    return this.#outputShapes!;
  }

  async load(signal?: AbortSignal): Promise<GuardedProcess> {
    const work = this.#work(signal);
    const started = await GuardedProcess.start("engine-process", this.#isolation.memoryBytes, work);
    try {
      this.#outputShapes = await started.ask({ load: this.#model, options: this.#options } satisfies EngineOrder, work);
    } catch (error) {
      started.end();
      throw error;
    }
    this.#process = started;
    return started;
  }

  run(feeds: Tensors, { signal }: RunOptions = {}): Promise<Tensors> {
    return this.#queue.add(async () => {
      if (this.#failures.length >= mostFailures) throw this.#failures[0];
      const running = this.#process?.isRunning ? this.#process : await this.load(signal);
      try {
        const tensors = await running.ask<Tensors>({ run: feeds } satisfies EngineOrder, this.#work(signal));
        this.#failures = [];
        return tensors;
      } catch (error) {
        if (error instanceof FormatError && !running.isRunning) this.#failures = [...this.#failures, error];
        throw error;
      }
    });
  }

  /** Profiles stay in the process. */
  async endProfiling(): Promise<readonly ProfileEvent[]> {
    return [];
  }

  dispose(): Promise<void> {
    return this.#queue.add(async () => this.#process?.end());
  }

  #work(signal: AbortSignal | undefined) {
    const { where, timeMs } = this.#isolation;
    return { where, work: "running its graph", timeMs, signal };
  }
}
