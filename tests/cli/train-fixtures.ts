import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { mulberry32 } from "../../src/tensor/random.ts";

const size = 71;
const classes = ["blue", "red"];

/** Flags of a network and a training so small that an epoch takes a moment. */
export const smallTraining =
  "--image-size 71 --width 0.01 --middle-flow-repeats 0 --batch-size 4 --learning-rate 0.01".split(" ");

/** A folder with PNG images of two classes: noise in which one color is stronger. */
export async function writeImages(folder: string, perClass: number, seed: number): Promise<void> {
  const random = mulberry32(seed);
  for (const [label, name] of classes.entries()) {
    await mkdir(join(folder, name), { recursive: true });
    for (let index = 0; index < perClass; index++) {
      const strong = label === 0 ? 2 : 0;
      const data = Uint8Array.from({ length: size * size * 3 }, (_, at) =>
        at % 3 === strong ? 120 + 130 * random() : 160 * random(),
      );
      const png = await nodePlatform.images.encodePng({ width: size, height: size, data });
      await writeFile(join(folder, name, `${index}.png`), png);
    }
  }
}
