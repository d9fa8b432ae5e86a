import type { ImageDataset } from "../../data/dataset.ts";
import { DataError, FormatError } from "../../errors.ts";
import type { Platform } from "../../platform.ts";
import type { Prediction } from "../../records.ts";
import { selectGallery } from "../../report/gallery.ts";
import type { Gallery, GalleryItem } from "../../report/training-report.ts";
import { type Picture, pixelsOf } from "../model/picture.ts";

/** How many pictures of either kind a report shows, and how large they are stored, in pixels. */
const gallerySize = { wrong: 12, right: 12 };
const thumbnailSize = 128;

/** Tested pictures for a report: the worst mistakes, and right answers of every class. */
export async function galleryOf(
  predictions: readonly Prediction[],
  { samples }: ImageDataset,
  platform: Pick<Platform, "decodeImage" | "encodePng">,
): Promise<Gallery> {
  const pictures = new Map(samples.map((sample) => [sample.name, sample.picture]));
  const withPictures = async (chosen: readonly Prediction[]): Promise<GalleryItem[]> => {
    const items = await Promise.all(
      chosen.map(async (prediction) => {
        const png = await thumbnail(pictures.get(prediction.file)!, platform);
        return png && { ...prediction, png };
      }),
    );
    return items.filter((item) => item !== undefined);
  };
  const { wrong, right } = selectGallery(predictions, gallerySize);
  return { wrong: await withPictures(wrong), right: await withPictures(right) };
}

/** Undefined where the file has gone since it was tested: no reason to lose the report. */
async function thumbnail(
  picture: Picture,
  platform: Pick<Platform, "decodeImage" | "encodePng">,
): Promise<Uint8Array | undefined> {
  try {
    const size = { width: thumbnailSize, height: thumbnailSize, fit: "contain" } as const;
    return await platform.encodePng(await pixelsOf(picture, size, platform));
  } catch (error) {
    if (error instanceof FormatError || error instanceof DataError) return undefined;
    throw error;
  }
}
