import type { OnPlatform } from "../../base/platform.ts";
import type { ImageDataset } from "../../data/dataset.ts";
import type { Gallery, GalleryItem } from "../../report/training-report.ts";
import { Explainer } from "./explainer.ts";
import { overlaidImage } from "./overlay.ts";
import { type ExplainedModel, loadProbe } from "./probe.ts";

/** Longest side of a heat map in a gallery, in pixels. */
const side = 160;

/**
 * Adds heat maps to the misclassified images of a gallery: the evidence of the predicted class, by Grad-CAM of the last
 * feature map. An image that cannot be explained stays without.
 * @throws {UsageError} the network is not a classifier with feature maps.
 * @throws {RuntimeUnavailableError} the engine is not available.
 * @throws {AbortedError} the signal fired.
 */
export async function explainMistakes(
  gallery: Gallery,
  { samples }: ImageDataset,
  model: ExplainedModel,
  { platform, session }: OnPlatform,
): Promise<Gallery> {
  if (gallery.wrong.length === 0) return gallery;
  const images = new Map(samples.map((sample) => [sample.name, sample.image]));
  await using explainer = new Explainer(await loadProbe(model, platform, session));
  const wrong: GalleryItem[] = [];
  for (const item of gallery.wrong) {
    const image = images.get(item.file)!;
    const options = { label: item.predicted, signal: session?.signal };
    for await (const result of explainer.explainAll([image], options)) {
      const { fit } = model.preprocessing;
      const drawn =
        "error" in result
          ? undefined
          : await overlaidImage(image, result.explanation, { codec: platform.images, fit, side });
      wrong.push(drawn ? { ...item, evidence: await platform.images.encodePng(drawn) } : item);
    }
  }
  return { ...gallery, wrong };
}
