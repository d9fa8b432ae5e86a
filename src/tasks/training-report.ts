import type { ImageDataset } from "../data/dataset.ts";
import { countParameters, networkWeights } from "../graph/network.ts";
import type { Platform } from "../platform.ts";
import { networkCost } from "../report/cost.ts";
import type { Fact, NetworkSize, Reproduction, TrainingReport } from "../report/training-report.ts";
import { galleryOf } from "./report-gallery.ts";
import type { TrainingResult } from "./train-options.ts";

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
