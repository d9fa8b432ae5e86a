import type { ImageCodec, ImageSource, RgbImage } from "../../base/platform.ts";
import type { ImagePreprocessing } from "../../model/model.ts";
import { heatColor } from "../../report/heat-colors.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import type { Explanation } from "./explainer.ts";
import { resizeMap } from "./maps.ts";

/** Longest side of the images on a sheet, in pixels. */
const sheetSide = 360;

type DrawnMap = Pick<Explanation, "image" | "map" | "maximum">;

interface OverlayOptions extends Pick<ImagePreprocessing, "fit"> {
  readonly codec: ImageCodec;
}

/** Draws an image without and with its map, side by side. */
export async function overlaidPair(
  source: ImageSource,
  explanation: DrawnMap,
  options: OverlayOptions,
): Promise<RgbImage> {
  const image = await shownImage(source, explanation, { ...options, side: sheetSide });
  return beside(image, overlay(image, explanation.map, explanation.maximum));
}

/**
 * Draws a map over the image that it explains: the stronger the evidence, the more of the color shows. Values are relative
 * to the map's maximum; those below 0 show nothing.
 * @param options `side`: the longest side of the result, in pixels.
 */
export async function overlaidImage(
  source: ImageSource,
  explanation: DrawnMap,
  options: OverlayOptions & { readonly side: number },
): Promise<RgbImage> {
  return overlay(await shownImage(source, explanation, options), explanation.map, explanation.maximum);
}

async function shownImage(
  source: ImageSource,
  explanation: DrawnMap,
  { codec, fit, side }: OverlayOptions & { readonly side: number },
): Promise<RgbImage> {
  // Where the network stretches images, the original's proportions are easier to look at, and the map fits them as well.
  const whole = fit === "fill" ? await codec.decode(source, {}) : explanation.image;
  const scale = side / Math.max(whole.width, whole.height);
  const size = {
    width: Math.max(1, Math.round(scale * whole.width)),
    height: Math.max(1, Math.round(scale * whole.height)),
  };
  return codec.decode(whole, size);
}

function overlay({ width, height, data }: RgbImage, map: FloatTensor, maximum: number): RgbImage {
  const heat = resizeMap(map, [height, width]).data;
  const blended = data.map((value, index) => {
    const strength = maximum > 0 ? Math.min(1, Math.max(0, heat[Math.floor(index / 3)]! / maximum)) : 0;
    // The image itself stays legible everywhere.
    const opacity = 0.15 + 0.6 * strength;
    return Math.round(value * (1 - opacity) + heatColor(strength)[index % 3]! * opacity);
  });
  return { width, height, data: blended };
}

function beside(left: RgbImage, right: RgbImage): RgbImage {
  const gap = 8;
  const [width, row] = [2 * left.width + gap, 3 * left.width];
  const data = new Uint8Array(3 * width * left.height).fill(255);
  for (let y = 0; y < left.height; y++) {
    data.set(left.data.subarray(y * row, (y + 1) * row), 3 * y * width);
    data.set(right.data.subarray(y * row, (y + 1) * row), 3 * (y * width + left.width + gap));
  }
  return { width, height: left.height, data };
}
