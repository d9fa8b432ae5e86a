import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { root } from "../../scripts/project-root.mjs";
import type { Network } from "../../src/graph/network.ts";
import { initializeWeights, xception } from "../../src/index.ts";
import { loadWeights } from "../../src/node.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import type { TrainingCase } from "./train-in-both.ts";

/** Xception at a quarter of its width, on images of noise. @param size their side, in pixels. @param images their number. */
export function noiseCase(size: number, images: number): TrainingCase {
  const network = xception({ inputShape: [size, size, 3], width: 0.25, classes: 2, seed: 5 });
  const random = mulberry32(11);
  const pixels = Uint8Array.from({ length: images * size * size * 3 }, () => 256 * random());
  return { network, start: initializeWeights(network), size, pixels };
}

const data = join(root, "../shared/data");
const weightsFile = join(data, "xception-imagenet-block13/model.json");
const photos = join(data, "clothing/validation");

/** Why there is no {@link photoCase}; undefined if there is. */
export const whyNoPhotos =
  existsSync(weightsFile) && existsSync(photos) ? undefined : "neither the weights nor the photos are there";

/**
 * Xception on four photos of two classes at 150×150, with the ImageNet weights of Keras through block 13.
 * @param seed of block 14's and the classifier's first weights.
 */
export async function photoCase(seed = 5): Promise<TrainingCase> {
  const size = 150;
  const network = xception({ inputShape: [size, size, 3], classes: 2, seed });
  const fresh = initializeWeights(network);
  const isFresh = (name: string) => /^(block14_sepconv\d\/|predictions\/)/.test(name);
  const allowMissing = "block14_sepconv*,predictions/*,dense1024/*,dense512/*,final/*";
  const { weights } = await loadWeights(network, weightsFile, { allowMissing });
  const start = new Map([...fresh].map(([name, own]) => [name, isFresh(name) ? own : weights.get(name)!]));
  const images: Uint8Array[] = [];
  const files = await Promise.all(["dress", "shoes"].map(async (name) => (await readdir(join(photos, name))).sort()));
  for (const index of [0, 1]) {
    for (const [label, name] of ["dress", "shoes"].entries()) {
      const photo = sharp(join(photos, name, files[label]![index]!)).resize(size, size, { fit: "fill" });
      images.push(await photo.removeAlpha().raw().toBuffer());
    }
  }
  return { network, start, size, pixels: Buffer.concat(images) };
}

/** With ELU in place of ReLU: rounding can put an input of ReLU on the other side of zero, where its gradient jumps. */
export function withElu(on: TrainingCase): TrainingCase {
  const layers = on.network.layers.map((layer): (typeof on.network.layers)[number] => {
    const { config } = layer;
    const isRelu = config.type === "Activation" && config.activation === "relu";
    return isRelu ? { ...layer, config: { ...config, activation: "elu" } } : layer;
  });
  const network: Network = { ...on.network, layers };
  return { ...on, network };
}
