import { z } from "zod";
import { FormatError } from "../../errors.ts";
import { checkDocument, parseJson } from "../../json-document.ts";

/** The element types of weights that we read; `string` and `complex64` are none that networks have. */
const storedTypes = ["float32", "float16", "int32", "bool"] as const;

const range = { min: z.number(), scale: z.number() };

const quantizationSchema = z.discriminatedUnion("dtype", [
  z.object({ dtype: z.literal("uint8"), ...range }),
  z.object({ dtype: z.literal("uint16"), ...range }),
  z.object({ dtype: z.literal("float16") }),
]);

const weightSchema = z.object({
  name: z.string().min(1),
  shape: z.array(z.int().min(1)).max(8),
  dtype: z.enum(storedTypes),
  quantization: quantizationSchema.nullish(),
});

const groupSchema = z.object({ paths: z.array(z.string()).min(1), weights: z.array(weightSchema) });

const modelSchema = z.object({
  format: z.string().nullish(),
  userDefinedMetadata: z.record(z.string(), z.unknown()).nullish(),
  modelTopology: z.record(z.string(), z.unknown()).nullish(),
  weightsManifest: z.array(groupSchema).min(1),
});

/** Weights that stand one after the other in some files. */
export type TfjsGroup = z.infer<typeof groupSchema>;

/** One weight: its shape, and how its numbers are written. */
export type TfjsWeight = z.infer<typeof weightSchema>;

/** The `model.json` of a model of TF.js. */
export type TfjsManifest = z.infer<typeof modelSchema>;

/**
 * Reads a `model.json`.
 * @param where what errors call the file.
 * @throws {FormatError} it is no such file; the message names the field.
 * @see https://www.tensorflow.org/js/guide/save_load
 */
export function readTfjsManifest(text: string, where: string): TfjsManifest {
  const manifest = checkDocument(modelSchema, parseJson(text, where), where);
  const seen = new Set<string>();
  for (const [group, { paths }] of manifest.weightsManifest.entries()) {
    for (const [index, path] of paths.entries()) {
      const field = `${where}, field weightsManifest.${group}.paths.${index}`;
      if (seen.has(path)) throw new FormatError({ where: field, what: "a file is named twice", received: path });
      seen.add(path);
    }
  }
  return manifest;
}

/** The files right beside a `model.json` that it names; none if it is something else. */
export function shardNames(content: Uint8Array): readonly string[] {
  try {
    const { weightsManifest } = readTfjsManifest(new TextDecoder().decode(content), "");
    return weightsManifest.flatMap(({ paths }) => paths).filter((path) => /^\w[\w.-]*$/.test(path));
  } catch (cause) {
    if (cause instanceof FormatError) return [];
    throw cause;
  }
}
