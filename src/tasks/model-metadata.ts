import { z } from "zod";
import { FormatError } from "../errors.ts";
import { completeOptions, type XceptionOptions } from "../models/xception-options.ts";
import { checkDocument, parseJson } from "./json-document.ts";
import type { ModelParts } from "./model.ts";

/** Under which name an `.onnx` file holds the JSON document. */
export const metadataKey = "xception-ts";

const formatVersion = 1;

/** What a model file says besides its graph and its weights. */
export type ModelMetadata = Omit<ModelParts, "weights">;

const byte = z.int().min(0).max(255);

const documentSchema = z.object({
  formatVersion: z.literal(formatVersion),
  architecture: z.object({
    family: z.literal("xception"),
    // What the values may be is checked where the network is built; a file must only not make us build for ever.
    options: z.looseObject({ middleFlowRepeats: z.number().max(1000) }),
  }),
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
export function writeMetadata({ options, labels, preprocessing, licence, provenance }: ModelMetadata): string {
  const { scale, offset, fit, background } = preprocessing;
  const document = {
    formatVersion,
    architecture: { family: "xception", options: completeOptions(options) },
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
    options: architecture.options as XceptionOptions,
    labels,
    preprocessing,
    ...(licence !== undefined && { licence }),
    ...(provenance !== undefined && { provenance }),
  };
}
