import { UsageError } from "../../src/base/errors.ts";

/**
 * The ending of a file's name that says what to write, in small letters and without its dot.
 * @param flag that names the file, for the message.
 * @throws {UsageError} it has none of the endings.
 */
export function endingOf<T extends string>(file: string, endings: readonly T[], flag: string): T {
  const found = endings.find((ending) => file.toLowerCase().endsWith(`.${ending}`));
  if (found !== undefined) return found;
  throw new UsageError({
    where: `option ${flag}`,
    what: "unknown file extension",
    received: file,
    expected: `a name that ends in ${endings.map((ending) => `.${ending}`).join(", ")}`,
  });
}

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
