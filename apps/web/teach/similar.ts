import type { ChosenImage } from "../images.ts";
import type { PageModel } from "../models.ts";
import { backboneOf, mostSimilar, readProjectEmbeddings } from "./embedding.ts";
import { store, type TaughtImage } from "./store.ts";

/** A training image of the project, its class, and the cosine of its embedding and another one. */
export interface SimilarImage {
  readonly image: TaughtImage;
  readonly label: string;
  readonly similarity: number;
}

/** Finds the training images most similar to an image; none if there is no project, or it was taught with another backbone. */
export async function similarImages(
  model: PageModel,
  { file }: ChosenImage,
  most: number,
): Promise<readonly SimilarImage[]> {
  const classes = await store.classes().catch(() => []);
  const counts = await Promise.all(classes.map(({ id }) => store.countImages(id)));
  if (counts.every((count) => count === 0)) return [];
  // A graph of another tool may have no features.
  const backbone = await backboneOf(model).catch(() => undefined);
  if (backbone === undefined) return [];
  const project = await readProjectEmbeddings(classes, backbone);
  if (project.ids.length === 0) return [];
  const [found] = await (await model.extractor()).features(file, { pooling: "avg" });
  const names = new Map(classes.map(({ id, name }) => [id, name]));
  const images = mostSimilar(project, found!.values.data, most).map(async ({ id, similarity }) => {
    const image = await store.image(id);
    return image ? [{ image, label: names.get(image.classId) ?? "", similarity }] : [];
  });
  return (await Promise.all(images)).flat();
}
