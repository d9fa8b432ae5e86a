/** The process of an isolated session. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Session } from "../../base/platform.ts";
import { packError } from "../error-transfer.ts";
import { createSession } from "./engine.ts";
import type { EngineAnswer, EngineOrder } from "./isolated-session.ts";

/**
 * A thread that ends this process when its parent has ended or its memory exceeds the limit: the engine keeps the main thread
 * busy, and also lets no signal handler run.
 */
const guard = `
  const { workerData: { parent, memoryBytes } } = require("node:worker_threads");
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
    if (process.memoryUsage.rss() > memoryBytes) process.kill(process.pid, "SIGTERM");
  }, 10);`;

const workerData = { parent: process.ppid, memoryBytes: Number(process.argv[2]) };
await once(new Worker(guard, { eval: true, workerData }), "online");
// Ctrl-C in a terminal goes to all its processes; the parent decides.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit());

let session: Session | undefined;
process.on("message", async (order: EngineOrder) => answer(await carryOut(order).catch(packError)));
answer({});

async function carryOut(order: EngineOrder): Promise<EngineAnswer> {
  if ("run" in order) return { tensors: await session!.run(order.run) };
  session = await createSession(order.load, order.options);
  return { outputShapes: session.outputShapes };
}

function answer(message: EngineAnswer): void {
  process.send!(message);
}
