import { currentModel, type PageModel } from "../models.ts";
import { store, type TaughtClass, type TaughtImage } from "./store.ts";

/** Images in one run of the network. */
const batchSize = 16;

/** Embeddings of all images of a project. */
export interface ProjectEmbeddings {
  /** Of the images, in the order of the rows. */
  readonly ids: readonly number[];
  /** `[images, channels]` */
  readonly embeddings: Float32Array;
  readonly channels: number;
  /** Index of each image's class. */
  readonly labels: Uint16Array;
}

/** The digest of everything that embeddings depend on: weights, layers and preprocessing. */
export async function backboneOf(model: PageModel): Promise<string> {
  return (await model.extractor()).digest({ pooling: "avg" });
}

let running: Promise<void> | undefined;

/**
 * Computes the embeddings that are missing for the model in use, and stores them. One call works for all who wait.
 * @param onProgress called with the number of images done and of all.
 */
export function embedMissing(classes: readonly TaughtClass[], onProgress?: Progress): Promise<void> {
  running = (running ?? Promise.resolve()).catch(() => {}).then(() => embedClasses(classes, onProgress));
  return running;
}

type Progress = (done: number, total: number) => void;

async function embedClasses(classes: readonly TaughtClass[], onProgress?: Progress): Promise<void> {
  const model = currentModel.value;
  if (!model) return;
  const [extractor, backbone] = [await model.extractor(), await backboneOf(model)];
  const missing: TaughtImage[] = [];
  for (const { id } of classes) {
    missing.push(...(await store.imagesOf(id)).filter((image) => image.backbone !== backbone));
  }
  for (let from = 0; from < missing.length; from += batchSize) {
    onProgress?.(from, missing.length);
    const images = missing.slice(from, from + batchSize);
    const [found] = await extractor.features(
      images.map(({ file }) => file),
      { pooling: "avg" },
    );
    const channels = found!.values.shape[1]!;
    for (const [row, image] of images.entries()) {
      image.embedding = found!.values.data.slice(row * channels, (row + 1) * channels);
      image.backbone = backbone;
      await store.saveImage(image);
    }
  }
  onProgress?.(missing.length, missing.length);
}

/** Reads the embeddings of some classes that one backbone computed. */
export async function readProjectEmbeddings(
  classes: readonly TaughtClass[],
  backbone: string,
): Promise<ProjectEmbeddings> {
  const ids: number[] = [];
  const labels: number[] = [];
  const rows: Float32Array[] = [];
  for (const [label, { id }] of classes.entries()) {
    for (const image of await store.imagesOf(id)) {
      if (image.backbone !== backbone || !image.embedding) continue;
      ids.push(image.id);
      labels.push(label);
      rows.push(image.embedding);
    }
  }
  const channels = rows[0]?.length ?? 0;
  const embeddings = new Float32Array(rows.length * channels);
  for (const [row, values] of rows.entries()) embeddings.set(values, row * channels);
  return { ids, embeddings, channels, labels: Uint16Array.from(labels) };
}

/** The images most similar to an embedding, by cosine. */
export function mostSimilar(
  { ids, embeddings, channels }: ProjectEmbeddings,
  embedding: Float32Array,
  most: number,
): readonly { readonly id: number; readonly similarity: number }[] {
  const own = Math.hypot(...embedding) || 1;
  const all = ids.map((id, row) => {
    let [product, length] = [0, 0];
    for (let channel = 0; channel < channels; channel++) {
      const value = embeddings[row * channels + channel]!;
      product += value * embedding[channel]!;
      length += value * value;
    }
    return { id, similarity: product / ((Math.sqrt(length) || 1) * own) };
  });
  return all.sort((a, b) => b.similarity - a.similarity).slice(0, most);
}
