import { FormatError, messageOf, RuntimeUnavailableError, XceptionError } from "../base/errors.ts";
import type { Engine, Session, SessionIsolation } from "../base/platform.ts";
import type { Network } from "../graph/network.ts";

/**
 * Limits for a network from a file; undefined for one that needs little. Browsers ignore limits, and need not load the code that
 * finds them.
 */
export async function limitsOf(
  { choosesDevice }: Engine,
  network: Network,
  graph: Uint8Array,
  where: string,
): Promise<SessionIsolation | undefined> {
  if (choosesDevice) return undefined;
  const { networkIsolation } = await import("./network-isolation.ts");
  return networkIsolation(network, graph, where);
}

/** Adds the file to the engine's error while loading it. */
export function namingFile(where: string) {
  return (error: unknown): never => {
    if (!(error instanceof RuntimeUnavailableError)) throw error;
    throw new RuntimeUnavailableError({ ...error.parts, where: `${where}, ${error.parts.where}`, cause: error });
  };
}

/** Turns the engine's error while running a graph into ours. */
export function rejectedBy(where: string) {
  return (cause: unknown): never => {
    if (cause instanceof XceptionError) throw cause;
    throw new FormatError({ where, what: `its graph cannot be run on an image (${messageOf(cause)})`, cause });
  };
}

/** Adds the file to the engine's errors while running it. */
export function withFileName(session: Session, where: string): Session {
  return {
    get report() {
      return session.report;
    },
    run: (feeds, options) => session.run(feeds, options).catch(rejectedBy(where)),
    endProfiling: () => session.endProfiling(),
    dispose: () => session.dispose(),
  };
}
