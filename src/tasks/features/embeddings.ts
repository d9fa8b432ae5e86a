import { z } from "zod";
import { FormatError } from "../../errors.ts";
import type { NetworkOptions } from "../../models/registry.ts";
import { type ArchitectureName, architectureNames } from "../../models/registry.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";

/** An image of which there is an embedding. */
export interface EmbeddedImage {
  /** Its path inside the images' folder, with `/` between the parts. */
  readonly file: string;
  /** Its class. */
  readonly label?: string | undefined;
}

/** What a model makes of images: for each a point, and images that look alike lie in the same direction. */
export interface Embeddings {
  readonly images: readonly EmbeddedImage[];
  /** `[images, dimensions]` */
  readonly values: FloatTensor;
  /** Where they come from, to embed another image in the same way; CSV has no place for it. */
  readonly origin?: EmbeddingsOrigin | undefined;
}

/** The model that made embeddings, and the folder of the images; paths are relative to the embeddings' file. */
export interface EmbeddingsOrigin {
  /** Path or address of the file, or `imagenet`. */
  readonly model: string;
  /** Of the model, see `FeatureExtractor.digest`. */
  readonly digest: string;
  /** As in `openAs`, where the model's file holds weights alone. */
  readonly network?: NetworkOptions | undefined;
  readonly architecture?: ArchitectureName | undefined;
  readonly allowMissing?: string | undefined;
  readonly layer: string;
  readonly pooling: "avg" | "max";
  readonly folder: string;
}

const originSchema = z.object({
  model: z.string().min(1),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  // What is wrong in it, the network's own checks name.
  network: z.record(z.string(), z.json()).optional(),
  architecture: z.enum(architectureNames).optional(),
  allowMissing: z.string().optional(),
  layer: z.string().min(1),
  pooling: z.enum(["avg", "max"]),
  folder: z.string().min(1),
});

/** An image in a file. */
export const imageSchema = z.object({ file: z.string().min(1), label: z.string().min(1).optional() });

/** Of the files. */
export const formatVersion = 1;

/** What a file says beside the values. */
export const documentSchema = z.object({
  formatVersion: z.literal(formatVersion),
  origin: originSchema.optional(),
  images: z.array(imageSchema),
});

/**
 * Embeddings from a file whose parts have been read.
 * @throws {FormatError} there are not as many rows as images, none at all, or values that are not finite.
 */
export function checkedEmbeddings(
  { images, origin }: z.infer<typeof documentSchema>,
  values: FloatTensor,
  where: string,
): Embeddings {
  const [rows, dimensions] = values.shape;
  if (values.shape.length !== 2 || rows !== images.length || rows === 0 || dimensions === 0) {
    throw new FormatError({
      where,
      what: "its values are no embeddings of its images",
      received: `values ${JSON.stringify(values.shape)} for ${images.length} images`,
      expected: "[images, dimensions], one image at least",
    });
  }
  const bad = values.data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    const { file } = images[Math.floor(bad / dimensions!)]!;
    throw new FormatError({
      where: `${where}, image "${file}", dimension ${bad % dimensions!}`,
      what: "the value is not finite",
      received: values.data[bad],
    });
  }
  return { images, values, origin: origin as EmbeddingsOrigin | undefined };
}
