import { z } from "zod";
import { FormatError } from "../../errors.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
import { kerasPreprocessing } from "../../graph/preprocessing.ts";
import { checkDocument, parseJson } from "../../json-document.ts";
import { architectureNamed, buildNetwork, defaultName } from "../../models/registry.ts";
import type { Platform } from "../../platform.ts";
import { floatTensor } from "../../tensor/tensor.ts";
import { loadWeights } from "../weights/open-weights.ts";
import { type Golden, type GoldenTap, goldenName } from "./golden.ts";
import { checkTaps } from "./network.ts";
import { type Verification, type VerifyOptions, verifyNetwork } from "./verify.ts";

const size = z.int().min(1);
const channels = z.array(z.number());

const mapSchema = z.object({
  shape: z.tuple([size, size, size]),
  mean: z.number(),
  std: z.number().min(0),
  min: z.number(),
  max: z.number(),
  at_0_0: channels,
  at_center: channels,
  at_last: channels,
});

const featuresSchema = z.object({
  layers: z.array(z.string()).min(1),
  images: z.record(z.string(), z.record(z.string(), z.unknown())),
});

/**
 * What another tool made of a photo, layer by layer: statistics of each map, and its first channels at three places: the
 * first pixel, the middle one (half the sides, rounded down) and the last.
 * @param image which of the photos, if there are several.
 * @throws {FormatError} this is no such file, or it has no such photo; the message names the field.
 */
export function parseFeatures(text: string, file: string, image?: string): Golden {
  const where = goldenName(file);
  const { layers, images } = checkDocument(featuresSchema, parseJson(text, where), where);
  const name = image ?? Object.keys(images)[0] ?? "";
  const maps = Object.hasOwn(images, name) ? images[name] : undefined;
  if (maps === undefined) {
    throw new FormatError({
      where: `${where}, field images`,
      what: "there is no such image",
      received: name,
      expected: Object.keys(images).join(", "),
    });
  }
  const taps = layers.map((layer): readonly [string, GoldenTap] => {
    const map = checkDocument(mapSchema, maps[layer], `${where}, ${name}, layer "${layer}"`);
    const [height, width, depth] = map.shape;
    const places = [
      [0, map.at_0_0],
      [Math.floor(height / 2) * width + Math.floor(width / 2), map.at_center],
      [height * width - 1, map.at_last],
    ] as const;
    const samples = places.flatMap(([pixel, values]) =>
      values.slice(0, depth).map((value, channel) => [pixel * depth + channel, value] as const),
    );
    const { mean, std, min, max } = map;
    const sampled = { at: samples.map(([index]) => index), values: samples.map(([, value]) => value) };
    return [layer, { shape: [1, height, width, depth], mean, std, min, max, ...sampled }];
  });
  return { taps: Object.fromEntries(taps) };
}

export interface VerifyFeaturesOptions extends VerifyOptions {
  /** Path of the weights that the other tool had, in any format. */
  readonly weights: string;
  /** As in `loadWeights`. */
  readonly allowMissing?: string | undefined;
  /** Path of the photo, of the network's size. */
  readonly image: string;
}

/**
 * Compares what a network with real weights makes of a photo, layer by layer, with what another tool made of it. The photo
 * is prepared as keras.applications does; without options, the network is Xception without its top.
 * @param text of the file that `parseFeatures` reads.
 * @throws {FormatError} the file does not fit the network, or a file is damaged.
 * @throws {FileError} a file is missing.
 * @throws {WeightsError} the weights are not the network's, beyond what may be missing.
 */
export async function verifyFeatures(
  text: string,
  file: string,
  { weights: source, allowMissing, image, network: options, ...rest }: VerifyFeaturesOptions,
): Promise<Verification> {
  const { platform } = rest;
  const golden = parseFeatures(text, file);
  const architecture = architectureNamed(defaultName, { includeTop: false, ...options });
  const network = checkTaps(buildNetwork(architecture), golden, goldenName(file));
  const { weights } = await loadWeights(network, source, platform, { allowMissing });
  const images = await preparedImage(image, network, platform);
  return verifyNetwork(network, golden, file, { ...rest, weights, images });
}

async function preparedImage(image: string, network: Network, platform: Platform) {
  const [height, width] = inputShapeOf(network) as [number, number, number];
  const { data } = await platform.images.decode(image, { width, height });
  const { scale, offset } = kerasPreprocessing;
  return floatTensor(
    [1, height, width, 3],
    Float32Array.from(data, (pixel) => pixel * scale + offset),
  );
}
