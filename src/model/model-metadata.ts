import { z } from "zod";
import { FormatError } from "../base/errors.ts";
import { checkDocument, parseJson } from "../base/json.ts";
import { architectureSchema } from "../models/architecture-schema.ts";
import { completeArchitecture } from "../models/registry.ts";
import type { ImagePreprocessing, ModelParts } from "./model.ts";

/** Version 2: the graph takes images of any size, and channels may be scaled each on its own. */
const formatVersions = [1, 2] as const;
const formatVersion = formatVersions[1];

/** Everything in a model file besides its graph and its weights. */
export type ModelMetadata = Omit<ModelParts, "weights">;

/** Description of a model in a file of any kind; only image classifiers have labels and preprocessing. */
export type ModelDescription = Pick<ModelMetadata, "architecture"> & Partial<ModelMetadata>;

const byte = z.int().min(0).max(255);
const perChannel = z.union([z.number(), z.tuple([z.number(), z.number(), z.number()])]);

const preprocessingSchema = z.object({
  scale: perChannel,
  offset: perChannel,
  interpolation: z.enum(["nearest", "bilinear", "bicubic"]).optional(),
  fit: z.enum(["fill", "cover", "contain"]),
  cropRatio: z.number().min(0.01).max(1).optional(),
  background: z.tuple([byte, byte, byte]),
});

const documentSchema = z.object({
  formatVersion: z.literal(formatVersions),
  architecture: architectureSchema,
  labels: z.array(z.string()).optional(),
  preprocessing: preprocessingSchema.optional(),
  license: z.string().optional(),
  provenance: z.record(z.string(), z.json()).optional(),
});

/** Returns the problem with an image preprocessing as parts of an error, or undefined. */
export function preprocessingProblem(preprocessing: ImagePreprocessing) {
  const { error } = preprocessingSchema.safeParse(preprocessing);
  if (error === undefined) {
    if (preprocessing.interpolation !== undefined || (preprocessing.cropRatio ?? 1) === 1) return undefined;
    return { what: "images are cropped in the graph alone", expected: "preprocessing with an interpolation" };
  }
  const { path, message } = error.issues[0]!;
  return { what: `preprocessing.${path.join(".")} is not allowed: ${message}` };
}

/** Writes the JSON document with everything about a model that its file cannot store otherwise. */
export function writeMetadata(description: ModelDescription): string {
  const { architecture, labels, preprocessing, license, provenance } = description;
  const isNew = preprocessing && needsVersion2(preprocessing);
  const document = {
    // Earlier versions of this package can read files that need nothing new.
    formatVersion: isNew ? 2 : 1,
    architecture: completeArchitecture(architecture),
    labels,
    preprocessing: preprocessing && orderedPreprocessing(preprocessing),
    license,
    provenance,
  };
  return JSON.stringify(document);
}

/** Canonical JSON: equal documents give equal text. */
function orderedPreprocessing(preprocessing: ImagePreprocessing) {
  const { scale, offset, interpolation, fit, cropRatio, background } = preprocessing;
  return { scale, offset, interpolation, fit, cropRatio, background };
}

function needsVersion2({ interpolation, scale, offset }: ImagePreprocessing): boolean {
  return interpolation !== undefined || typeof scale !== "number" || typeof offset !== "number";
}

/**
 * Parses metadata written by `writeMetadata`.
 * @param where name of the file in errors.
 * @throws {FormatError} it is not such a document, or of a later version of the format.
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
  const { architecture, labels, preprocessing, license, provenance } = checkDocument(
    documentSchema,
    json,
    `${where}, metadata`,
  );
  return {
    architecture,
    ...(labels !== undefined && { labels }),
    ...(preprocessing !== undefined && { preprocessing }),
    ...(license !== undefined && { license }),
    ...(provenance !== undefined && { provenance }),
  };
}
