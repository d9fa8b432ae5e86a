import { stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError, UsageError } from "../../src/base/errors.ts";
import type { FileSystem, ImageSource } from "../../src/base/platform.ts";
import { printableLine } from "../../src/base/printable.ts";
import { compareCodePoints, isHidden, isImageFile, unsupportedKinds } from "../../src/data/dataset.ts";
import type { CliIo } from "./io.ts";
import { describeUnsupported } from "./labels.ts";

/** An image named on the command line. */
export interface ImageArgument {
  /** Its path, or `-` for standard input. */
  readonly file: string;
  readonly image: ImageSource;
  /** Its path relative to the folder that was named, with `/` as the separator; undefined if it was named itself. */
  readonly inside?: string;
}

/**
 * The images named by arguments: files, URLs, all images in folders (other files are counted in a note), and `-` for standard input. Missing files, and folders without
 * images among other arguments, are kept, so that decoding reports each of them.
 * @throws {DataError} there are only folders without images.
 * @throws {UsageError} standard input is named twice.
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
  const imagesAt = async (path: string): Promise<readonly ImageArgument[]> => {
    if (path === "-") return [{ file: path, image: await io.stdin() }];
    const isFolder = await stat(path).then(
      (status) => status.isDirectory(),
      () => false,
    );
    const below = isFolder ? await imagesBelow(path, files, io) : [];
    if (isFolder) folders.add(path);
    return below.length > 0 ? below : [{ file: path, image: path }];
  };
  const all = (await Promise.all(paths.map(imagesAt))).flat();
  if (all.every(({ file }, index) => file === paths[index] && folders.has(file))) {
    throw noImages(paths[0]!);
  }
  return all;
}

/**
 * All images in a folder, as {@link imagesOf}.
 * @throws {DataError} there is no such folder, or no image in it.
 */
export async function imagesIn(folder: string, io: CliIo, files: FileSystem): Promise<readonly ImageArgument[]> {
  const images = await imagesBelow(folder, files, io);
  if (images.length === 0) throw noImages(folder);
  return images;
}

function noImages(folder: string): DataError {
  return new DataError({ where: `folder "${folder}"`, what: "it contains no images" });
}

async function imagesBelow(path: string, system: FileSystem, io: CliIo): Promise<ImageArgument[]> {
  const { files } = await system.list(path);
  for (const note of describeUnsupported(path, unsupportedKinds(files))) io.stderr(`note: ${printableLine(note)}\n`);
  const images = files.filter((file) => isImageFile(file) && !isHidden(file)).sort(compareCodePoints);
  return images.map((name) => ({ file: join(path, name), image: join(path, name), inside: name }));
}
