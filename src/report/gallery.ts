import type { Prediction } from "../records.ts";

/** What decides whether an image is shown. */
type Answer = Pick<Prediction, "truth" | "predicted" | "probability">;

/** How many images of either kind a gallery shows. */
export interface GallerySize {
  readonly wrong: number;
  readonly right: number;
}

/**
 * Chooses which tested images a report shows: of the wrong ones those the network was most certain of, as they teach
 * most; of the right ones the most certain of each class in turn, so that every class is seen.
 */
export function selectGallery<T extends Answer>(
  predictions: readonly T[],
  size: GallerySize,
): { wrong: readonly T[]; right: readonly T[] } {
  const ranked = predictions.toSorted((a, b) => b.probability - a.probability);
  const right = ranked.filter(({ truth, predicted }) => truth === predicted);
  return {
    wrong: ranked.filter(({ truth, predicted }) => truth !== predicted).slice(0, size.wrong),
    right: inTurn(right).slice(0, size.right),
  };
}

/** First the first of each class, then the second of each, and so on. */
function inTurn<T extends Answer>(predictions: readonly T[]): readonly T[] {
  const seen = new Map<string, number>();
  const places = predictions.map((prediction) => {
    const place = seen.get(prediction.truth) ?? 0;
    seen.set(prediction.truth, place + 1);
    return { prediction, place };
  });
  return places.toSorted((a, b) => a.place - b.place).map(({ prediction }) => prediction);
}
