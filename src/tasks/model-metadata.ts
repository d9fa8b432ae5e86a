import { z } from "zod";
import { FormatError } from "../errors.ts";
import { checkDocument, parseJson } from "../json-document.ts";
import { completeArchitecture } from "../models/architecture.ts";
import { architectureSchema } from "../models/architecture-schema.ts";
import { metadataKey } from "../weights/metadata-key.ts";
import type { ModelParts } from "./model.ts";

const formatVersion = 1;

/** What a model file says besides its graph and its weights. */
export type ModelMetadata = Omit<ModelParts, "weights">;

const byte = z.int().min(0).max(255);

const documentSchema = z.object({
  formatVersion: z.literal(formatVersion),
  architecture: architectureSchema,
  labels: z.array(z.string()),
  preprocessing: z.object({
    scale: z.number(),
    offset: z.number(),
    fit: z.enum(["fill", "cover", "contain"]),
    background: z.tuple([byte, byte, byte]),
  }),
  licence: z.string().optional(),
  provenance: z.record(z.string(), z.json()).optional(),
});

/** The JSON document of a model file. */
export function writeMetadata({ architecture, labels, preprocessing, licence, provenance }: ModelMetadata): string {
  const { scale, offset, fit, background } = preprocessing;
  const document = {
    formatVersion,
    architecture: completeArchitecture(architecture),
    labels,
    preprocessing: { scale, offset, fit, background },
    licence,
    provenance,
  };
  return JSON.stringify(document);
}

/**
 * Reads the JSON document of a model file.
 * @param where what errors call the file.
 * @throws {FormatError} it is missing, no such document, or of a later version of the format.
 */
export function readMetadata(text: string | undefined, where: string): ModelMetadata {
  if (text === undefined) {
    throw new FormatError({
      where,
      what: `the ONNX file has no "${metadataKey}" metadata: labels and preprocessing of its network are unknown`,
      expected: "a model that xception-ts wrote",
    });
  }
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
    labels,
    preprocessing,
    ...(licence !== undefined && { licence }),
    ...(provenance !== undefined && { provenance }),
  };
}
