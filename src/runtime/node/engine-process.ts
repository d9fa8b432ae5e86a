/** The process of an isolated session. */
import type { Session } from "../../base/platform.ts";
import { createSession, loadEngine, whyUnavailable } from "./engine.ts";
import type { EngineOrder } from "./isolated-session.ts";
import { serveOrders } from "./order-server.ts";

let session: Session | undefined;

// Before the first order, whose time it would take.
await loadEngine();

await serveOrders<EngineOrder>(async (order) => {
  if ("probe" in order) return whyUnavailable(order.probe);
  if ("run" in order) return session!.run(order.run);
  session = await createSession(order.load, order.options);
  return session.outputShapes;
});
