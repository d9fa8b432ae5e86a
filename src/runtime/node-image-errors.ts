import { access, constants, stat } from "node:fs/promises";
import { DataError, FormatError, type XceptionError } from "../errors.ts";
import type { ImageFile } from "../source.ts";

const supportedFormats = "JPEG, PNG, WebP, AVIF, GIF or TIFF";

/**
 * Says in one sentence why an image could not be decoded. Looks at the file only now: images that can be decoded, nearly
 * all of them, cost no extra call.
 */
export async function explainDecodeFailure(source: ImageFile, limit: number, error: Error): Promise<XceptionError> {
  const where = typeof source === "string" ? `image "${source}"` : `image of ${source.length} bytes`;
  if (typeof source === "string") {
    const unreadable = await explainUnreadable(source, where);
    if (unreadable !== undefined) return unreadable;
  } else if (source.length === 0) {
    return new FormatError({ where, what: "there is nothing in it", expected: supportedFormats, cause: error });
  }
  if (error.message.includes("exceeds pixel limit")) {
    return new FormatError({
      where,
      what: "the image has too many pixels",
      expected: `at most ${limit} pixels`,
      remedy: "Raise `pixelLimit` if you trust where it comes from.",
      cause: error,
    });
  }
  if (/unsupported image format|not been built in/.test(error.message)) {
    return new FormatError({ where, what: "this is no image we can read", expected: supportedFormats, cause: error });
  }
  const reason = error.message.split("\n")[0]!.replace(/^Input (file|buffer) has corrupt header: /, "");
  return new FormatError({ where, what: `the image is damaged or cut short (${reason})`, cause: error });
}

async function explainUnreadable(path: string, where: string): Promise<XceptionError | undefined> {
  try {
    const status = await stat(path);
    if (status.isDirectory()) return new DataError({ where, what: "this is a folder", expected: "an image file" });
    await access(path, constants.R_OK);
    if (status.size === 0) return new FormatError({ where, what: "the file is empty", expected: supportedFormats });
    return undefined;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`;
    return new DataError({ where, what, cause });
  }
}
