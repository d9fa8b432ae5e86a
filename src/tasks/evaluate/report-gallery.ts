import type { ImageDataset } from "../../data/dataset.ts";
import { DataError, FormatError } from "../../errors.ts";
import type { ImageCodec, ImageSource } from "../../platform.ts";
import type { Prediction } from "../../records.ts";
import { selectGallery } from "../../report/evaluation.ts";
import type { Gallery, GalleryItem } from "../../report/training-report.ts";

/** How many images of either kind a report shows, and how large they are stored, in pixels. */
const gallerySize = { wrong: 12, right: 12 };
const thumbnailSize = 128;

/** Tested images for a report: the worst mistakes, and right answers of every class. */
export async function galleryOf(
  predictions: readonly Prediction[],
  { samples }: ImageDataset,
  codec: ImageCodec,
): Promise<Gallery> {
  const images = new Map(samples.map((sample) => [sample.name, sample.image]));
  const withImages = async (chosen: readonly Prediction[]): Promise<GalleryItem[]> => {
    const items = await Promise.all(
      chosen.map(async (prediction) => {
        const png = await thumbnail(images.get(prediction.file)!, codec);
        return png && { ...prediction, png };
      }),
    );
    return items.filter((item) => item !== undefined);
  };
  const { wrong, right } = selectGallery(predictions, gallerySize);
  return { wrong: await withImages(wrong), right: await withImages(right) };
}

/** Undefined where the file has gone since it was tested: no reason to lose the report. */
async function thumbnail(image: ImageSource, codec: ImageCodec): Promise<Uint8Array | undefined> {
  try {
    const size = { width: thumbnailSize, height: thumbnailSize, fit: "contain" } as const;
    return await codec.encodePng(await codec.decode(image, size));
  } catch (error) {
    if (error instanceof FormatError || error instanceof DataError) return undefined;
    throw error;
  }
}
