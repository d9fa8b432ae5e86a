import { stat } from "node:fs/promises";
import { join } from "node:path";
import { compareCodePoints } from "../../src/data/code-point-order.ts";
import { isHidden, isPicture } from "../../src/data/folder-dataset.ts";
import { DataError, UsageError } from "../../src/errors.ts";
import type { ImageSource, Platform } from "../../src/platform.ts";
import type { CliIo } from "./io.ts";

/** A picture named on the command line. */
export interface PictureArgument {
  /** What the output calls it: its path, or `-` for the standard input. */
  readonly file: string;
  readonly picture: ImageSource;
  /** Its path inside the folder that was named, with `/` between the parts; undefined: it was named itself. */
  readonly inside?: string;
}

/**
 * The pictures that arguments stand for: a file itself, a folder all pictures below it, `-` what comes from the standard
 * input. Files that do not exist, and folders without pictures beside other arguments, are left for the decoder to
 * complain about, one by one.
 * @throws {DataError} there are only folders without pictures.
 * @throws {UsageError} the standard input is named twice.
 */
export async function picturesOf(
  paths: readonly string[],
  io: CliIo,
  platform: Pick<Platform, "listFolder">,
): Promise<readonly PictureArgument[]> {
  if (paths.indexOf("-") !== paths.lastIndexOf("-")) {
    throw new UsageError({ where: 'argument "-"', what: "the standard input can be read only once" });
  }
  const folders = new Set<string>();
  const pictures = await Promise.all(
    paths.map(async (path): Promise<readonly PictureArgument[]> => {
      if (path === "-") return [{ file: path, picture: await io.stdin() }];
      if (await isFolder(path)) {
        folders.add(path);
        const below = await picturesBelow(path, platform);
        if (below.length > 0) return below;
      }
      return [{ file: path, picture: path }];
    }),
  );
  const all = pictures.flat();
  if (all.every(({ file }, index) => file === paths[index] && folders.has(file))) {
    throw new DataError({ where: `folder "${paths[0]}"`, what: "there are no pictures in it" });
  }
  return all;
}

async function isFolder(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  return status?.isDirectory() === true;
}

async function picturesBelow(path: string, platform: Pick<Platform, "listFolder">): Promise<PictureArgument[]> {
  const { files } = await platform.listFolder(path);
  const pictures = files.filter((file) => isPicture(file) && !isHidden(file)).sort(compareCodePoints);
  return pictures.map((name) => ({ file: join(path, name), picture: join(path, name), inside: name }));
}
