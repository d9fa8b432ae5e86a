import type { Platform, SourceReader } from "../../src/platform.ts";

/**
 * Node's platform, loaded when a command needs it: commands that do not start at once, and `doctor` can still say what is
 * wrong where the engine does not load.
 * @param reader in place of its own, e.g. one that reads addresses, too.
 */
export async function loadPlatform(reader?: Required<SourceReader>): Promise<Required<Platform>> {
  const { nodePlatform } = await import("../../src/runtime/node.ts");
  return { ...nodePlatform, ...reader };
}
