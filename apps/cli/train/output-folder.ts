import { realpath } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { UsageError } from "../../../src/errors.ts";

/**
 * @throws {UsageError} a run would be written among the images, where it would be taken for a class the next time, or around
 *   them, where they would go with it.
 */
export async function assertOutputOutsideImages(output: string, images: readonly string[]): Promise<void> {
  const target = await realPath(output);
  for (const folder of images) {
    const place = await realPath(folder);
    if (isWithin(place, target)) {
      throw new UsageError({
        where: "option --output",
        what: `the run would be written into the images' folder ${folder}`,
        received: output,
        expected: "a folder outside of it",
      });
    }
    if (isWithin(target, place)) {
      throw new UsageError({
        where: "option --output",
        what: `the images' folder ${folder} lies in it`,
        received: output,
        expected: "a folder for the run alone",
      });
    }
  }
}

/** Whether a path is that of a folder or leads below it. */
function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way.split(sep)[0] !== ".." && !isAbsolute(way);
}

/** Where a path leads, links followed as far as it exists. */
async function realPath(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(await realPath(parent), basename(absolute));
  }
}
