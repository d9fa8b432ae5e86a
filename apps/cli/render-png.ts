import { UsageError } from "../../src/errors.ts";

/** Limits of the SVG renderer and the PNG encoder, in pixels. */
const largestSide = 32_767;
const largestArea = 16_383 ** 2;

/**
 * Draws an SVG image of the given resolution as PNG.
 * @throws {UsageError} the image would be too large; the message says which `--dpi` is not.
 */
export async function renderPng(svg: string, dpi: number): Promise<Uint8Array> {
  const [, width, height] = /<svg width="(\d+)pt" height="(\d+)pt"/.exec(svg)!.map(Number) as [number, number, number];
  const shrink = Math.min(largestSide / Math.max(width, height), Math.sqrt(largestArea / (width * height)));
  if (shrink < 1) {
    throw new UsageError({
      where: "option --dpi",
      what: `the image would have ${width}×${height} pixels`,
      received: dpi,
      expected: `at most ${Math.floor(dpi * shrink)} for a .png of this network`,
      remedy: "An .svg can be enlarged without limit.",
    });
  }
  const { default: sharp } = await import("sharp");
  return sharp(Buffer.from(svg)).png().toBuffer();
}
