import { Worker } from "node:worker_threads";
import * as errors from "../errors.ts";
import type { IsolatedJob, JobLimits } from "../platform.ts";

/** What the thread says when it is done. */
export type JobAnswer =
  | { readonly result: unknown }
  /** An error of this package by its class, with its parts; any other by its message alone. */
  | { readonly failure: string; readonly parts: errors.ErrorParts };

/** What the thread is started with. */
export interface JobOrder {
  readonly module: string;
  readonly name: string;
  readonly input: readonly unknown[];
  readonly memoryBytes: number;
}

/**
 * Runs a function of a module in a thread of its own, which is ended when the function takes too long or too much memory.
 * @throws {FormatError} a limit was reached.
 * @throws what the function throws.
 */
export async function isolate<T>(job: IsolatedJob<T>, limits: JobLimits): Promise<T> {
  const { module, name, input, moved = [], where } = job;
  const { timeMs, memoryBytes } = limits;
  const fromSources = import.meta.url.endsWith(".ts");
  const order: JobOrder = { module, name, input, memoryBytes };
  const thread = new URL(`./node-isolation-thread.${fromSources ? "ts" : "js"}`, import.meta.url);
  // What a library prints of a damaged file is in the error, as far as it matters.
  const started = { workerData: order, transferList: [...moved], stdout: true, stderr: true };
  const worker = fromSources ? new Worker(throughTsx(thread), { ...started, eval: true }) : new Worker(thread, started);
  let timer: NodeJS.Timeout | undefined;
  try {
    const answer = await new Promise<JobAnswer>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`the thread ended with code ${code}`)));
      timer = setTimeout(() => reject(tooSlow(where, timeMs)), timeMs);
    });
    if ("result" in answer) return answer.result as T;
    throw rebuilt(answer.failure, answer.parts);
  } catch (cause) {
    if (cause instanceof errors.XceptionError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new errors.FormatError({ where, what: `reading it came to an unexpected end (${reason})`, cause });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

/** Node 20 does not read TypeScript by itself: only in development, where tsx does. */
function throughTsx(module: URL): string {
  return `import("tsx/esm/api").then(({ register }) => { register(); return import(${JSON.stringify(module.href)}); })`;
}

function rebuilt(name: string, parts: errors.ErrorParts): Error {
  const known = Object.values(errors).find(
    (each): each is typeof errors.FormatError => each.name === name && each !== errors.XceptionError,
  );
  return known ? new known(parts) : new Error(parts.what);
}

function tooSlow(where: string, timeMs: number): errors.FormatError {
  return new errors.FormatError({
    where,
    what: `reading it took longer than ${timeMs / 1000} s, so that it is taken for damaged`,
    remedy: "Copy or download it again.",
  });
}
