import { realpath } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { UsageError } from "../../../src/errors.ts";

/**
 * @throws {UsageError} a run would be written among the pictures, where it would be taken for a class the next time.
 */
export async function refuseOutputAmongPictures(output: string, pictures: readonly string[]): Promise<void> {
  const target = await realPath(output);
  for (const folder of pictures) {
    const way = relative(await realPath(folder), target);
    if (way.split(sep)[0] === "..") continue;
    throw new UsageError({
      where: "option --output",
      what: `the run would be written into the pictures' folder ${folder}`,
      received: output,
      expected: "a folder outside of it",
    });
  }
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
