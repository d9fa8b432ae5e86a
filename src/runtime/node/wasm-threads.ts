import { once } from "node:events";
import type { ThreadOrder } from "../wasm/runner.ts";
import type { FollowingThread } from "../wasm/session.ts";
import { startModule } from "./thread.ts";

/** Starts a thread of the WebAssembly engine as a worker thread of Node; it does not keep the process running. */
export async function startThread(order: ThreadOrder): Promise<FollowingThread> {
  const worker = startModule("wasm-thread", { workerData: order });
  await once(worker, "message");
  worker.unref();
  return worker;
}
