import { blockProbe, readBlockSize } from "../../compiler/block-probe.ts";
import { RuntimeUnavailableError } from "../../errors.ts";
import type { Device, Platform } from "../../platform.ts";
import { floatTensor } from "../../tensor/tensor.ts";

/**
 * Channels to a block in the engine's fastest CPU layout on this machine (16 with AVX-512, 8 with AVX2), found by asking
 * the engine; undefined where it has no such layout, and on other devices.
 */
export async function channelBlock(
  platform: Platform,
  device: Device = platform.engine.defaultDevice,
): Promise<number | undefined> {
  if (device !== "cpu") return undefined;
  const { model, input } = blockProbe();
  try {
    const session = await platform.engine.createSession(model, { threads: 1 });
    const { blocks } = await session.run({ image: floatTensor([1, 64, 1, 2], input) });
    await session.dispose();
    return readBlockSize(blocks!.data as Float32Array);
  } catch (error) {
    if (error instanceof RuntimeUnavailableError) return undefined;
    throw error;
  }
}
