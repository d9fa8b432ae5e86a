import type { RgbImage } from "../../../src/base/platform.ts";
import { heatColor } from "../../../src/report/heat-colors.ts";
import type { FloatTensor } from "../../../src/tensor/tensor.ts";

/** Draws an image as the network reads it, and over it where the network finds evidence, which `opacity` blends in. */
export function drawHeatMap(
  canvas: HTMLCanvasElement,
  image: RgbImage,
  { map, maximum }: { readonly map: FloatTensor; readonly maximum: number },
  opacity: number,
): void {
  const scale = Math.max(1, Math.ceil(448 / Math.max(image.width, image.height)));
  canvas.width = image.width * scale;
  canvas.height = image.height * scale;
  const context = canvas.getContext("2d")!;
  context.imageSmoothingQuality = "high";
  context.drawImage(
    canvasOf(image.width, image.height, (index) => image.data.subarray(3 * index, 3 * index + 3)),
    0,
    0,
    canvas.width,
    canvas.height,
  );
  const [height, width] = map.shape as [number, number];
  const strength = (index: number) => (maximum > 0 ? Math.max(0, map.data[index]!) / maximum : 0);
  const alphaAt = (index: number) => 255 * opacity * (0.2 + 0.8 * strength(index));
  const heat = canvasOf(width, height, (index) => [...heatColor(strength(index)), alphaAt(index)]);
  context.drawImage(heat, 0, 0, canvas.width, canvas.height);
}

/** A canvas of pixels, each `[red, green, blue]` and opaque, or with its alpha, from 0 to 255. */
export function canvasOf(
  width: number,
  height: number,
  colorAt: (index: number) => ArrayLike<number>,
): OffscreenCanvas {
  const pixels = new ImageData(width, height);
  for (let index = 0; index < width * height; index++) {
    pixels.data[4 * index + 3] = 255;
    pixels.data.set(colorAt(index), 4 * index);
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas;
}
