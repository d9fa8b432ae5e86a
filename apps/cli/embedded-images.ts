import { dirname, resolve } from "node:path";
import { XceptionError } from "../../src/base/errors.ts";
import type { ImageCodec, ImageSource } from "../../src/base/platform.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type EmbeddedImage, readEmbeddings } from "../../src/tasks/features/embeddings.ts";
import { reportNotes } from "./classifier-options.ts";
import type { CliIo } from "./io.ts";
import { isWithin } from "./train/run-folder.ts";

/** The folder that the images of an embeddings file are in, and the one that they must be below to be opened. */
export interface EmbeddingsPlace {
  readonly folder: string;
  readonly root: string;
}

/**
 * Reads an embeddings file.
 * @param folder of its images; default: the recorded one, of which only images below the file's folder are opened.
 * @throws {FileError} the file cannot be read.
 * @throws {FormatError} it contains no embeddings, or is damaged.
 */
export async function openEmbeddings(file: string, folder: string | undefined) {
  const embeddings = readEmbeddings(await nodePlatform.files.read(file), `embeddings ${JSON.stringify(file)}`);
  const recorded = resolve(dirname(file), embeddings.origin?.folder ?? ".");
  return { embeddings, place: { folder: folder ?? recorded, root: folder ?? dirname(file) } };
}

/** The path of an image of an embeddings file; undefined if it must not be opened. */
export function imagePath({ folder, root }: EmbeddingsPlace, file: string): string | undefined {
  const path = resolve(folder, file);
  return isWithin(resolve(root), path) ? path : undefined;
}

/** The row of an image file among the embedded images, if it is one of them. */
export function rowOf(path: string, images: readonly EmbeddedImage[], { folder }: EmbeddingsPlace): number | undefined {
  const row = images.findIndex(({ file }) => resolve(folder, file) === resolve(path));
  return row < 0 ? undefined : row;
}

/** Thumbnails of images of an embeddings file, by file, of those that may be opened and can be read. */
export async function thumbnailsOf(
  images: readonly EmbeddedImage[],
  place: EmbeddingsPlace,
  codec: ImageCodec,
  io: CliIo,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const jpegs = new Map<string, Uint8Array>();
  let outside = 0;
  for (const file of new Set(images.map((image) => image.file))) {
    const path = imagePath(place, file);
    if (path === undefined) outside++;
    const jpeg = await thumbnail(path, codec);
    if (jpeg) jpegs.set(file, jpeg);
  }
  if (outside > 0) {
    reportNotes([`images not shown, since they are outside the folder: ${outside}; name theirs with --folder`], io);
  }
  return jpegs;
}

/** Side of a thumbnail in pixels, twice its size on the page. */
const side = 320;

/** Makes a small square JPEG of an image, cropped at the center; undefined if the image cannot be read. */
export async function thumbnail(image: ImageSource | undefined, images: ImageCodec): Promise<Uint8Array | undefined> {
  if (image === undefined) return undefined;
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
