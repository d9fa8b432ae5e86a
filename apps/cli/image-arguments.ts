import { stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError, UsageError } from "../../src/base/errors.ts";
import type { FileSystem, ImageSource } from "../../src/base/platform.ts";
import { compareCodePoints, isHidden, isImageFile } from "../../src/data/dataset.ts";
import type { CliIo } from "./io.ts";

/** An image named on the command line. */
export interface ImageArgument {
  /** What the output calls it: its path, or `-` for the standard input. */
  readonly file: string;
  readonly image: ImageSource;
  /** Its path inside the folder that was named, with `/` between the parts; undefined: it was named itself. */
  readonly inside?: string;
}

/**
 * The images that arguments stand for: a file itself, a folder all images below it, `-` what comes from the standard
 * input. Files that do not exist, and folders without images beside other arguments, are left for the decoder to
 * complain about, one by one.
 * @throws {DataError} there are only folders without images.
 * @throws {UsageError} the standard input is named twice.
 */
export async function imagesOf(
  paths: readonly string[],
  io: CliIo,
  files: FileSystem,
): Promise<readonly ImageArgument[]> {
  if (paths.indexOf("-") !== paths.lastIndexOf("-")) {
    throw new UsageError({ where: 'argument "-"', what: "the standard input can be read only once" });
  }
  const folders = new Set<string>();
  const images = await Promise.all(
    paths.map(async (path): Promise<readonly ImageArgument[]> => {
      if (path === "-") return [{ file: path, image: await io.stdin() }];
      if (await isFolder(path)) {
        folders.add(path);
        const below = await imagesBelow(path, files);
        if (below.length > 0) return below;
      }
      return [{ file: path, image: path }];
    }),
  );
  const all = images.flat();
  if (all.every(({ file }, index) => file === paths[index] && folders.has(file))) {
    throw new DataError({ where: `folder "${paths[0]}"`, what: "there are no images in it" });
  }
  return all;
}

async function isFolder(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  return status?.isDirectory() === true;
}

async function imagesBelow(path: string, system: FileSystem): Promise<ImageArgument[]> {
  const { files } = await system.list(path);
  const images = files.filter((file) => isImageFile(file) && !isHidden(file)).sort(compareCodePoints);
  return images.map((name) => ({ file: join(path, name), image: join(path, name), inside: name }));
}
