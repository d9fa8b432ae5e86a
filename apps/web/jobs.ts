import { texts } from "./texts.ts";
import type { jobs } from "./worker.ts";

type Jobs = typeof jobs;

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  readonly onProgress: ((progress: never) => void) | undefined;
}

/** The worker has ended, and with it the job. */
export class WorkerEndedError extends Error {}

const waiting = new Map<number, Waiting>();
let worker: Worker | undefined;
let lastId = 0;

/** Runs a job in the page's own worker, which starts with the first one. */
export function runJob<Name extends keyof Jobs>(
  name: Name,
  input: Parameters<Jobs[Name]>[0],
  onProgress?: (progress: never) => void,
): ReturnType<Jobs[Name]> {
  worker ??= startWorker();
  lastId += 1;
  const id = lastId;
  worker.postMessage({ id, name, input });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject, onProgress })) as ReturnType<Jobs[Name]>;
}

function startWorker(): Worker {
  const started = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  started.addEventListener("message", ({ data: { id, progress, result, error } }) => {
    const found = waiting.get(id);
    if (progress !== undefined) return found?.onProgress?.(progress as never);
    waiting.delete(id);
    if (error === undefined) found?.resolve(result);
    else found?.reject(new Error(error));
  });
  started.addEventListener("error", (event) => {
    event.preventDefault();
    started.terminate();
    worker = undefined;
    for (const { reject } of waiting.values()) reject(new WorkerEndedError(texts.workerEnded));
    waiting.clear();
  });
  return started;
}
