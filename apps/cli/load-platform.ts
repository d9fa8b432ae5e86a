import type { Platform } from "../../src/platform.ts";

/**
 * Node's platform, loaded when a command needs it: commands that do not start at once, and `doctor` can still say what is
 * wrong where the engine does not load.
 */
export async function loadPlatform(): Promise<Platform> {
  const { nodePlatform } = await import("../../src/runtime/node.ts");
  return nodePlatform;
}
