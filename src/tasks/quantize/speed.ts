import type { Platform } from "../../base/platform.ts";
import { imageInput } from "../../compiler/lower.ts";
import { readSaturation, saturationProbe } from "../../compiler/quantize/saturation.ts";
import { imageSizeOf, type Network } from "../../graph/network.ts";
import type { SpeedChange } from "../../report/quantization.ts";
import type { Tensor } from "../../tensor/tensor.ts";

const [warmUps, rounds] = [3, 15];

/** Measures two compiled graphs of a network on one image, alternating in this process. */
export async function compareSpeed(
  network: Network,
  before: Uint8Array,
  after: Uint8Array,
  { engine }: Platform,
): Promise<SpeedChange> {
  const [height, width] = imageSizeOf(network);
  const data = Uint8Array.from({ length: height * width * 3 }, (_, index) => (index * 7919) % 256);
  const images: Tensor = { type: "uint8", shape: [1, height, width, 3], data };
  const first = await engine.createSession(before, { device: "cpu" });
  const second = await engine.createSession(after, { device: "cpu" });
  const timeMs = async (session: typeof first) => {
    const start = performance.now();
    await session.run({ [imageInput]: images });
    return performance.now() - start;
  };
  const times: (readonly [before: number, after: number])[] = [];
  try {
    for (let round = -warmUps; round < rounds; round++) {
      const pair = [await timeMs(first), await timeMs(second)] as const;
      if (round >= 0) times.push(pair);
    }
  } finally {
    await Promise.all([first.dispose(), second.dispose()]);
  }
  return {
    beforeMs: median(times.map(([before]) => before)),
    afterMs: median(times.map(([, after]) => after)),
    factor: median(times.map(([before, after]) => before / after)),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Returns whether the engine limits sums of integer products to 16 bits on this CPU, which costs accuracy. */
export async function saturates({ engine }: Platform): Promise<boolean> {
  const { model, images } = saturationProbe();
  const session = await engine.createSession(model, { device: "cpu", threads: 1 });
  const { y } = await session.run({ [imageInput]: images });
  await session.dispose();
  return readSaturation(y!.data as Float32Array);
}
