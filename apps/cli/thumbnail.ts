import { XceptionError } from "../../src/errors.ts";
import type { ImageCodec, ImageSource } from "../../src/platform.ts";

/** In pixels, twice as many as a page shows them in. */
const side = 320;

/** A small square JPEG of an image, its overhang cropped; undefined if the image cannot be read. */
export async function thumbnail(image: ImageSource, images: ImageCodec): Promise<Uint8Array | undefined> {
  try {
    const { data } = await images.decode(image, { width: side, height: side, fit: "cover" });
    const { default: sharp } = await import("sharp");
    return await sharp(data, { raw: { width: side, height: side, channels: 3 } })
      .jpeg({ quality: 80 })
      .toBuffer();
  } catch (error) {
    if (error instanceof XceptionError) return undefined;
    throw error;
  }
}
