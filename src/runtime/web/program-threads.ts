import type { RunnerOrder } from "../wasm/runner.ts";
import type { FollowingThread } from "../wasm/session.ts";

/** A worker, as far as it is used here. */
interface ThreadWorker extends FollowingThread {
  postMessage(order: RunnerOrder): void;
  onmessage: (() => void) | null;
  onerror: ((event: { readonly message?: string }) => void) | null;
}

declare const Worker: new (url: URL, options: { type: "module"; name: string }) => ThreadWorker;

/** Starts a thread of our WebAssembly engine as a worker; call it in a worker, since the engine waits for its threads. */
export function startProgramThread(order: RunnerOrder): Promise<FollowingThread> {
  const worker = new Worker(new URL("./program-thread.js", import.meta.url), {
    type: "module",
    name: "xception-ts-thread",
  });
  return new Promise((resolve, reject) => {
    worker.onmessage = () => resolve(worker);
    worker.onerror = ({ message }) => reject(new Error(message ?? "the worker's script does not load"));
    worker.postMessage(order);
  });
}
