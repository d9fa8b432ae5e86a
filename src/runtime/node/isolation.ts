import type { Worker } from "node:worker_threads";
import { FormatError, messageOf, XceptionError } from "../../base/errors.ts";
import type { Isolate, IsolatedJob, JobLimits } from "../../base/platform.ts";
import { type PackedError, unpackError } from "../error-transfer.ts";
import { startModule } from "./thread.ts";

/** Message of the thread at the end of the job. */
export type JobAnswer = { readonly result: unknown; readonly programs: readonly object[] } | PackedError;

/** Message of the thread when its module is loaded and the job starts. */
export const started = "started";

/** Message that gives the thread its job. */
export interface JobOrder {
  readonly name: string;
  readonly input: readonly unknown[];
  readonly memoryBytes: number;
}

/** Time for which a prepared thread waits for its job. */
const patienceMs = 10_000;

/** A thread that waits for a job, and its module. */
let waiting: { readonly module: string; readonly worker: Worker } | undefined;

/** WebAssembly programs by the module that uses them: V8 compiles them only once while they are referenced. */
const programsOf = new Map<string, readonly object[]>();

/**
 * Runs a function of a module in its own thread, which is terminated if the function exceeds its time or memory limit.
 * @throws {FormatError} a limit was reached.
 * @throws what the function throws.
 */
export const isolate: Isolate = Object.assign(run, { prepare });

async function run<T>(job: IsolatedJob<T>, { timeMs, memoryBytes }: JobLimits): Promise<T> {
  const { module, name, input, moved = [], where, work } = job;
  const worker = threadFor(module);
  let timer: NodeJS.Timeout | undefined;
  try {
    const answer = await new Promise<JobAnswer>((resolve, reject) => {
      worker.on("message", (message: JobAnswer | typeof started) => {
        if (message !== started) return resolve(message);
        // The time that the module takes to load depends on the disk and is not the job's.
        timer = setTimeout(() => reject(tooSlow(where, timeMs, work)), timeMs);
      });
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`the thread ended with code ${code}`)));
      const order: JobOrder = { name, input, memoryBytes };
      worker.postMessage(order, moved);
    });
    if ("failure" in answer) throw unpackError(answer);
    if (answer.programs.length > 0) programsOf.set(module, answer.programs);
    return answer.result as T;
  } catch (cause) {
    if (cause instanceof XceptionError) throw cause;
    const what = `${work?.name ?? "reading it"} ended unexpectedly (${messageOf(cause)})`;
    throw new FormatError({ where, what, cause });
  } finally {
    clearTimeout(timer);
    // Not awaited: freeing its memory takes a while.
    void worker.terminate();
  }
}

/** Starts a thread, if none is waiting, for a likely job; it does not keep the program from exiting. */
function prepare(module: string): void {
  if (waiting) return;
  const prepared = { module, worker: start(module) };
  waiting = prepared;
  const forget = (): void => {
    if (waiting === prepared) waiting = undefined;
  };
  prepared.worker.unref();
  prepared.worker.once("exit", forget);
  // A job would report the same error.
  prepared.worker.on("error", forget);
  setTimeout(() => {
    if (waiting !== prepared) return;
    forget();
    void prepared.worker.terminate();
  }, patienceMs).unref();
}

function threadFor(module: string): Worker {
  if (waiting?.module !== module) return start(module);
  const { worker } = waiting;
  waiting = undefined;
  worker.ref();
  return worker;
}

function start(module: string): Worker {
  // Captured, so that libraries do not print about damaged files; their errors are thrown.
  return startModule("isolation-thread", { workerData: module, stdout: true, stderr: true });
}

function tooSlow(where: string, timeMs: number, work: IsolatedJob<unknown>["work"]): FormatError {
  const time = `took longer than ${timeMs / 1000} s`;
  const what = work ? `${work.name} ${time}` : `reading it ${time}, so it is probably damaged`;
  return new FormatError({ where, what, remedy: work?.remedy ?? "Copy or download it again." });
}

interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** TypeScript has no types of WebAssembly outside of browsers. */
const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: { prototype: WasmMemory } } }).WebAssembly;

/** Limits each WebAssembly memory of this thread from now on. Node has no such option. */
export function limitWasmMemory(bytes: number): void {
  const { grow } = Memory.prototype;
  Memory.prototype.grow = function (this: WasmMemory, pages: number): number {
    if (this.buffer.byteLength + pages * 65536 > bytes) throw new RangeError("the memory limit is reached");
    return grow.call(this, pages);
  };
}
