import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../../src/base/errors.ts";

/**
 * Returns the extension of a file, one of `extensions`, in lower case and without its dot.
 * @param flag that names the file, for the message.
 * @throws {UsageError} it has another extension.
 */
export function extensionOf<T extends string>(file: string, extensions: readonly T[], flag: string): T {
  const found = extensions.find((extension) => file.toLowerCase().endsWith(`.${extension}`));
  if (found !== undefined) return found;
  const expected = extensions.map((extension) => `.${extension}`).join(", ");
  const what = "the extension does not identify a format";
  throw new UsageError({ where: `option ${flag}`, what, received: file, expected });
}

/** The file to write: one of this name if the path is a folder or ends in `/`, else the path. */
export async function fileAt(path: string, name: string): Promise<string> {
  const isFolder = await stat(path).then(
    (status) => status.isDirectory(),
    () => path.endsWith("/"),
  );
  return isFolder ? join(path, name) : path;
}

/** @throws {UsageError} the file exists, and `--overwrite` is not given. */
export function assertOverwrite(where: string, file: string, overwrite = false): void {
  if (overwrite || !existsSync(file)) return;
  const remedy = "Add --overwrite to replace it.";
  throw new UsageError({ where, what: "the file already exists", received: file, remedy });
}

/** Limits of the SVG renderer and the PNG encoder, in pixels. */
const largestSide = 32_767;
const largestArea = 16_383 ** 2;

/**
 * Renders an SVG image of the given resolution as PNG.
 * @throws {UsageError} the image would be too large; the message has the largest possible `--dpi`.
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
      remedy: "An .svg has no such limit.",
    });
  }
  const { default: sharp } = await import("sharp");
  return sharp(Buffer.from(svg)).png().toBuffer();
}
