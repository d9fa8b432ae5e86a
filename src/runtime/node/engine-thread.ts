/** The thread of a session of {@link threadedEngine}. */
import { parentPort } from "node:worker_threads";
import type { Session } from "../../base/platform.ts";
import { WorkQueue } from "../../base/work-queue.ts";
import { packError } from "../error-transfer.ts";
import { createSession } from "./engine.ts";
import type { ThreadAnswer, ThreadOrder } from "./threaded-engine.ts";

const port = parentPort!;
const queue = new WorkQueue();
let session: Session | undefined;

port.on("message", async (order: ThreadOrder) => {
  const answer = await queue.add(() => carryOut(order)).catch(packError);
  port.postMessage(answer, buffersOf(answer));
  if ("dispose" in order) port.close();
});

async function carryOut(order: ThreadOrder): Promise<ThreadAnswer> {
  if ("run" in order) return { tensors: await session!.run(order.run) };
  if ("dispose" in order) {
    await session?.dispose();
    return {};
  }
  session = await createSession(order.load, order.options);
  return { outputShapes: session.outputShapes };
}

/** Results are moved instead of copied. */
function buffersOf(answer: ThreadAnswer): ArrayBuffer[] {
  const tensors = "tensors" in answer ? Object.values(answer.tensors ?? {}) : [];
  return [...new Set(tensors.map(({ data }) => data.buffer as ArrayBuffer))];
}
