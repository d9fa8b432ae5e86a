import { z } from "zod";
import { FormatError } from "../../errors.ts";
import { type ArchitectureName, architectureNames } from "../../models/architecture-names.ts";
import type { XceptionOptions } from "../../models/xception-options.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";

/** A picture of which there is an embedding. */
export interface EmbeddedPicture {
  /** Its path inside the pictures' folder, with `/` between the parts. */
  readonly file: string;
  /** Its class. */
  readonly label?: string | undefined;
}

/** What a model makes of pictures: for each a point, and pictures that look alike lie in the same direction. */
export interface Embeddings {
  readonly pictures: readonly EmbeddedPicture[];
  /** `[pictures, dimensions]` */
  readonly values: FloatTensor;
  /** Where they come from, to embed another picture in the same way; CSV has no place for it. */
  readonly origin?: EmbeddingsOrigin | undefined;
}

/** The model that made embeddings, and the folder of the pictures; paths are relative to the embeddings' file. */
export interface EmbeddingsOrigin {
  /** Path or address of the file, or `imagenet`. */
  readonly model: string;
  /** Of the model, see `FeatureExtractor.digest`. */
  readonly digest: string;
  /** As in `openAs`, where the model's file holds weights alone. */
  readonly network?: XceptionOptions | undefined;
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

/** A picture in a file. */
export const pictureSchema = z.object({ file: z.string().min(1), label: z.string().min(1).optional() });

/** Of the files. */
export const formatVersion = 1;

/** What a file says beside the values. */
export const documentSchema = z.object({
  formatVersion: z.literal(formatVersion),
  origin: originSchema.optional(),
  pictures: z.array(pictureSchema),
});

/**
 * Embeddings from a file whose parts have been read.
 * @throws {FormatError} there are not as many rows as pictures, none at all, or values that are not finite.
 */
export function checkedEmbeddings(
  { pictures, origin }: z.infer<typeof documentSchema>,
  values: FloatTensor,
  where: string,
): Embeddings {
  const [rows, dimensions] = values.shape;
  if (values.shape.length !== 2 || rows !== pictures.length || rows === 0 || dimensions === 0) {
    throw new FormatError({
      where,
      what: "its values are no embeddings of its pictures",
      received: `values ${JSON.stringify(values.shape)} for ${pictures.length} pictures`,
      expected: "[pictures, dimensions], one picture at least",
    });
  }
  const bad = values.data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    const { file } = pictures[Math.floor(bad / dimensions!)]!;
    throw new FormatError({
      where: `${where}, picture "${file}", dimension ${bad % dimensions!}`,
      what: "the value is not finite",
      received: values.data[bad],
    });
  }
  return { pictures, values, origin: origin as EmbeddingsOrigin | undefined };
}
