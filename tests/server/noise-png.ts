import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { noise } from "../tasks/images.ts";

/** An image of random pixels. */
export function noisePng(seed: number, [height, width]: readonly [number, number] = [71, 80]): Promise<Uint8Array> {
  const { data } = noise(1, [height, width, 3], seed);
  return nodePlatform.images.encodePng({ width, height, data });
}
