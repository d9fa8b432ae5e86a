import { z } from "zod";
import { FormatError } from "../errors.ts";
import { checkDocument, parseJson } from "../json-document.ts";
import { completeArchitecture } from "../models/architecture.ts";
import { architectureSchema } from "../models/architecture-schema.ts";
import type { ModelParts } from "./model.ts";

const formatVersion = 1;

/** What a model file says besides its graph and its weights. */
export type ModelMetadata = Omit<ModelParts, "weights">;

/** What any file can say of a model; only one that tells classes of pictures apart has labels and preprocessing. */
export type ModelDescription = Pick<ModelMetadata, "architecture"> & Partial<ModelMetadata>;

const byte = z.int().min(0).max(255);

const documentSchema = z.object({
  formatVersion: z.literal(formatVersion),
  architecture: architectureSchema,
  labels: z.array(z.string()).optional(),
  preprocessing: z
    .object({
      scale: z.number(),
      offset: z.number(),
      fit: z.enum(["fill", "cover", "contain"]),
      background: z.tuple([byte, byte, byte]),
    })
    .optional(),
  licence: z.string().optional(),
  provenance: z.record(z.string(), z.json()).optional(),
});

/** The JSON document that says of a model what its file has no other place for. */
export function writeMetadata(description: ModelDescription): string {
  const { architecture, labels, preprocessing, licence, provenance } = description;
  const document = {
    formatVersion,
    architecture: completeArchitecture(architecture),
    labels,
    preprocessing: preprocessing && orderedPreprocessing(preprocessing),
    licence,
    provenance,
  };
  return JSON.stringify(document);
}

/** Equal documents are equal texts. */
function orderedPreprocessing({ scale, offset, fit, background }: ModelMetadata["preprocessing"]) {
  return { scale, offset, fit, background };
}

/**
 * Reads what `writeMetadata` wrote.
 * @param where what errors call the file.
 * @throws {FormatError} it is no such document, or of a later version of the format.
 */
export function readMetadata(text: string, where: string): ModelDescription {
  const json = parseJson(text, `${where}, metadata`);
  const version = z.object({ formatVersion: z.number() }).safeParse(json).data?.formatVersion;
  if (version !== undefined && version > formatVersion) {
    throw new FormatError({
      where,
      what: "a later version of xception-ts wrote this file",
      received: `format ${version}`,
      expected: `format ${formatVersion}`,
      remedy: "Update xception-ts.",
    });
  }
  const { architecture, labels, preprocessing, licence, provenance } = checkDocument(
    documentSchema,
    json,
    `${where}, metadata`,
  );
  return {
    architecture,
    ...(labels !== undefined && { labels }),
    ...(preprocessing !== undefined && { preprocessing }),
    ...(licence !== undefined && { licence }),
    ...(provenance !== undefined && { provenance }),
  };
}
