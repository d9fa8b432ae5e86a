import type { ImageDataset } from "../data/dataset.ts";
import { DataError, FormatError } from "../errors.ts";
import { countParameters, networkWeights } from "../graph/network.ts";
import type { Platform } from "../platform.ts";
import type { Prediction } from "../records.ts";
import { networkCost } from "../report/cost.ts";
import { selectGallery } from "../report/gallery.ts";
import type {
  Fact,
  Gallery,
  GalleryItem,
  NetworkSize,
  Reproduction,
  TrainingReport,
} from "../report/training-report.ts";
import { type Picture, pixelsOf } from "./picture.ts";
import type { TrainingResult } from "./train-options.ts";

/** How many pictures of either kind a report shows, and how large they are stored, in pixels. */
const gallerySize = { wrong: 12, right: 12 };
const thumbnailSize = 128;

/** What a report says beyond what the training itself knows. */
export interface ReportOptions {
  readonly platform: Pick<Platform, "decodeImage" | "encodePng">;
  readonly title: string;
  readonly summary?: string;
  readonly settings?: readonly Fact[];
  readonly reproduction?: Reproduction;
  /** The larger network that the trained one is a smaller sibling of. */
  readonly full?: NetworkSize["full"];
  /** The pictures that were tested, to show some of them. */
  readonly validation?: ImageDataset;
}

/** Gathers what `renderReport` shows of a training: its numbers, its cost, and pictures with what they were taken for. */
export async function reportOn(result: TrainingResult, options: ReportOptions): Promise<TrainingReport> {
  const { platform, title, summary, settings, reproduction, full, validation } = options;
  const { network, history, evaluation, predictions } = result;
  const { total } = countParameters(networkWeights(network));
  return {
    title,
    ...(summary !== undefined && { summary }),
    network: { parameters: total, ...(full && full.parameters !== total && { full }) },
    ...(settings && { settings }),
    history,
    ...(evaluation && { evaluation }),
    ...(predictions && validation && { gallery: await galleryOf(predictions, validation, platform) }),
    cost: networkCost(network),
    skipped: [...result.skipped, ...result.validationSkipped],
    ...(reproduction && { reproduction }),
  };
}

async function galleryOf(
  predictions: readonly Prediction[],
  { samples }: ImageDataset,
  platform: ReportOptions["platform"],
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
async function thumbnail(picture: Picture, platform: ReportOptions["platform"]): Promise<Uint8Array | undefined> {
  try {
    const size = { width: thumbnailSize, height: thumbnailSize, fit: "contain" } as const;
    return await platform.encodePng(await pixelsOf(picture, size, platform));
  } catch (error) {
    if (error instanceof FormatError || error instanceof DataError) return undefined;
    throw error;
  }
}
