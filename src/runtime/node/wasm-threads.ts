import { once } from "node:events";
import type { RunnerOrder } from "../wasm/runner.ts";
import type { FollowingThread } from "../wasm/session.ts";
import { startModule } from "./thread.ts";

/** Starts a thread of the WebAssembly engine as a worker thread of Node; it does not keep the process running. */
export async function startThread(order: RunnerOrder): Promise<FollowingThread> {
  const worker = startModule("wasm-thread", { workerData: order });
  await once(worker, "message");
  worker.unref();
  return worker;
}
