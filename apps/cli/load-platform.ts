import type { Platform } from "../../src/platform.ts";

/**
 * Node's platform, loaded when a command needs it: commands that do not start at once, and `doctor` can still say what is
 * wrong where the engine does not load.
 * @param downloads with them it reads addresses, too.
 */
export async function loadPlatform(downloads?: Pick<Platform, "readFile">): Promise<Platform> {
  const { nodePlatform } = await import("../../src/runtime/node.ts");
  return downloads ? { ...nodePlatform, readFile: downloads.readFile } : nodePlatform;
}
