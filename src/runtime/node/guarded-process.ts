import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { AbortedError, FormatError } from "../../base/errors.ts";
import { type PackedError, unpackError } from "../error-transfer.ts";

/** Description of an order's work, and its limit. */
export interface GuardedWork {
  /** Name of the input in errors. */
  readonly where: string;
  /** The work in errors: `decoding it`. */
  readonly work: string;
  readonly timeMs: number;
  /** Stops the work with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
}

/** Time in which a process must start. */
const startMs = 60_000;

/** A process that carries out one order at a time, and is ended when an order exceeds a limit or its signal fires. */
export class GuardedProcess {
  readonly #child: ChildProcess;
  readonly #memoryBytes: number;
  #isRunning = true;

  private constructor(script: string, memoryBytes: number) {
    this.#memoryBytes = memoryBytes;
    const fromSources = import.meta.url.endsWith(".ts");
    const path = fileURLToPath(new URL(`./${script}.${fromSources ? "ts" : "js"}`, import.meta.url));
    this.#child = fork(path, [String(memoryBytes)], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      // Only in development.
      execArgv: fromSources ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [],
    });
  }

  /**
   * Starts a process.
   * @param script name of the module beside this one, which calls `serveOrders`.
   * @throws as {@link ask}.
   */
  static async start(script: string, memoryBytes: number, first: GuardedWork): Promise<GuardedProcess> {
    const started = new GuardedProcess(script, memoryBytes);
    await started.#answer(undefined, { ...first, timeMs: startMs });
    return started;
  }

  /** False after a limit was reached, a signal fired, or `end()`. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /**
   * Sends an order and returns the result.
   * @throws {FormatError} a limit was reached.
   * @throws {AbortedError} the signal fired.
   * @throws what the order throws.
   */
  async ask<T>(order: object, work: GuardedWork): Promise<T> {
    return (await this.#answer(order, work)) as T;
  }

  /** Ends the process; calling it again does nothing. */
  end(): void {
    if (this.#isRunning) this.#child.kill("SIGKILL");
    this.#isRunning = false;
  }

  async #answer(order: object | undefined, { where, work, timeMs, signal }: GuardedWork): Promise<unknown> {
    const child = this.#child;
    const done = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    let failure: PackedError | undefined;
    child.ref();
    child.channel?.ref();
    try {
      return await new Promise<unknown>((resolve, reject) => {
        const limit = (what: string) => reject(new FormatError({ where, what: `${work} ${what}` }));
        const stop = () =>
          reject(new AbortedError({ where, what: "it was stopped by the caller", cause: signal?.reason }));
        if (signal?.aborted) stop();
        signal?.addEventListener("abort", stop, { signal: done.signal });
        timer = setTimeout(() => limit(`takes longer than ${Math.round(timeMs / 100) / 10} s`), timeMs);
        child.once("message", (message: OrderAnswer) => {
          if ("result" in message) return resolve(message.result);
          failure = message;
          reject(unpackError(message));
        });
        child.once("error", reject);
        child.once("exit", (code, killedBy) => {
          // See `serveOrders`.
          const isMemory = killedBy === "SIGTERM";
          limit(
            isMemory
              ? `needs more than ${Math.round(this.#memoryBytes / 2 ** 20)} MiB`
              : `ended the process (${killedBy ?? `code ${code}`})`,
          );
        });
        if (order) child.send(order, (error) => error && reject(error));
      });
    } catch (error) {
      if (failure === undefined) this.end();
      throw error;
    } finally {
      done.abort();
      clearTimeout(timer);
      child.removeAllListeners().on("error", () => {});
      // An idle process does not keep the program from exiting.
      child.unref();
      child.channel?.unref();
    }
  }
}

/** Returns whether there is a process of this id on this machine. */
export function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It exists, but belongs to another user.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The answer to an order, and that to no order when the process has started. */
export type OrderAnswer = PackedError | { readonly result: unknown };
