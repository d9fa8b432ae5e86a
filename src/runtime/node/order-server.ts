import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { packError } from "../error-transfer.ts";
import type { OrderAnswer } from "./guarded-process.ts";

/**
 * A thread that ends this process when its parent has ended or its memory exceeds the limit: native code keeps the main
 * thread busy, and also lets no signal handler run.
 */
const guard = `
  const { workerData: { parent, memoryBytes } } = require("node:worker_threads");
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
    if (process.memoryUsage.rss() > memoryBytes) process.kill(process.pid, "SIGTERM");
  }, 10);`;

/** Carries out the orders of a {@link GuardedProcess}, in its process. */
export async function serveOrders<Order>(carryOut: (order: Order) => Promise<unknown>): Promise<void> {
  const workerData = { parent: process.ppid, memoryBytes: Number(process.argv[2]) };
  await once(new Worker(guard, { eval: true, workerData }), "online");
  // Ctrl-C in a terminal goes to all its processes; the parent decides.
  process.on("SIGINT", () => {});
  process.on("disconnect", () => process.exit());
  const answer = (message: OrderAnswer) => process.send!(message);
  process.on("message", (order: Order) => {
    void carryOut(order)
      .then((result) => ({ result }), packError)
      .then(answer);
  });
  answer({ result: undefined });
}
