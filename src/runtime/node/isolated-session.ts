import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { AbortedError, FormatError } from "../../base/errors.ts";
import type {
  ProfileEvent,
  RunOptions,
  Session,
  SessionIsolation,
  SessionOptions,
  Tensors,
} from "../../base/platform.ts";
import { WorkQueue } from "../../base/work-queue.ts";
import { type PackedError, unpackError } from "../error-transfer.ts";

/** An order to the engine's process. */
export type EngineOrder = { readonly load: Uint8Array; readonly options: SessionOptions } | { readonly run: Tensors };

/** The answer to an order; an empty one says that the process is ready for orders. */
export type EngineAnswer =
  | PackedError
  | { readonly tensors?: Tensors; readonly outputShapes?: Session["outputShapes"] };

/** Time in which a process must start. */
const startMs = 60_000;

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

class IsolatedSession implements Session {
  readonly #model: Uint8Array;
  readonly #options: SessionOptions;
  readonly #isolation: SessionIsolation;
  readonly #queue = new WorkQueue();
  #child: ChildProcess | undefined;
  /** The limit that was reached: the model is not tried again. */
  #failure: FormatError | undefined;
  #outputShapes: Session["outputShapes"];

  constructor(model: Uint8Array, options: SessionOptions, isolation: SessionIsolation) {
    this.#model = model;
    this.#options = options;
    this.#isolation = isolation;
  }

  get outputShapes() {
    return this.#outputShapes!;
  }

  async load(signal?: AbortSignal): Promise<void> {
    const { memoryBytes, timeMs } = this.#isolation;
    this.#child = start(memoryBytes);
    await this.#ask(undefined, startMs, signal);
    const answer = await this.#ask({ load: this.#model, options: this.#options }, timeMs, signal).catch((error) => {
      this.#end();
      throw error;
    });
    this.#outputShapes = answer.outputShapes;
  }

  run(feeds: Tensors, { signal }: RunOptions = {}): Promise<Tensors> {
    return this.#queue.add(async () => {
      if (this.#failure) throw this.#failure;
      if (!this.#child) await this.load(signal);
      return (await this.#ask({ run: feeds }, this.#isolation.timeMs, signal)).tensors!;
    });
  }

  /** Profiles stay in the process. */
  async endProfiling(): Promise<readonly ProfileEvent[]> {
    return [];
  }

  dispose(): Promise<void> {
    return this.#queue.add(async () => this.#end());
  }

  /** Sends an order and returns the answer; the process does not survive any failure but the model's own. */
  async #ask(order: EngineOrder | undefined, timeMs: number, signal?: AbortSignal) {
    const { where } = this.#isolation;
    const child = this.#child!;
    const done = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    child.ref();
    child.channel?.ref();
    try {
      const answer = await new Promise<EngineAnswer>((resolve, reject) => {
        const stop = () =>
          reject(new AbortedError({ where, what: "it was stopped by the caller", cause: signal?.reason }));
        if (signal?.aborted) stop();
        signal?.addEventListener("abort", stop, { signal: done.signal });
        timer = setTimeout(() => reject(this.#limit(`takes longer than ${Math.round(timeMs / 1000)} s`)), timeMs);
        child.once("message", (message) => resolve(message as EngineAnswer));
        child.once("error", reject);
        child.once("exit", (code, killedBy) => reject(this.#ended(code, killedBy)));
        if (order) child.send(order, (error) => error && reject(error));
      });
      if ("failure" in answer) throw unpackError(answer);
      return answer;
    } catch (error) {
      if (error instanceof AbortedError || error === this.#failure) this.#end();
      throw error;
    } finally {
      done.abort();
      clearTimeout(timer);
      child.removeAllListeners().on("error", () => {});
      // An unused session does not keep the program from exiting.
      child.unref();
      child.channel?.unref();
    }
  }

  #ended(code: number | null, killedBy: NodeJS.Signals | null): FormatError {
    if (killedBy === "SIGTERM")
      return this.#limit(`needs more than ${Math.round(this.#isolation.memoryBytes / 2 ** 20)} MiB`);
    return this.#limit(`ended the process (${killedBy ?? `code ${code}`})`);
  }

  #limit(what: string): FormatError {
    this.#failure ??= new FormatError({ where: this.#isolation.where, what: `running its graph ${what}` });
    return this.#failure;
  }

  #end(): void {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }
}

function start(memoryBytes: number): ChildProcess {
  const fromSources = import.meta.url.endsWith(".ts");
  const script = fileURLToPath(new URL(`./engine-process.${fromSources ? "ts" : "js"}`, import.meta.url));
  const child = fork(script, [String(memoryBytes)], {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    // Only in development.
    execArgv: fromSources ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [],
  });
  return child;
}
