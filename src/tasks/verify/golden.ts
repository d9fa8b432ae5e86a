import { z } from "zod";
import { checkDocument, parseJson } from "../../json-document.ts";
import { sizeOf } from "../../tensor/shape.ts";

/** More images than this in a file are a mistake, and would only fill the memory. */
const largestBatch = 256;

const size = z.int().min(1);

const tapSchema = z
  .object({
    shape: z.array(size).min(2),
    std: z.number().min(0),
    mean: z.number().optional(),
    min: z.number().optional(),
    max: z.number().optional(),
    at: z.array(z.int().min(0)).min(1),
    values: z.array(z.number()),
  })
  .superRefine(({ shape, at, values }, context) => {
    if (values.length !== at.length) {
      const message = `there are ${values.length} values for ${at.length} indices in "at"`;
      context.addIssue({ code: "custom", path: ["values"], message });
    }
    for (const [position, index] of at.entries()) {
      if (index < sizeOf(shape)) continue;
      const message = `index ${index} is beyond the last of the ${sizeOf(shape)} values of ${shape.join("×")}`;
      context.addIssue({ code: "custom", path: ["at", position], message });
    }
  });

const goldenSchema = z
  .object({
    input_shape: z.tuple([size, size, size]).optional(),
    classes: size.optional(),
    include_top: z.boolean().optional(),
    pooling: z.enum(["none", "avg", "max"]).nullish(),
    weights: z.array(z.tuple([z.int(), z.string(), z.array(size)], z.unknown())).optional(),
    taps: z.record(z.string(), tapSchema).default({}),
    probabilities: z.array(z.array(z.number()).min(1)).min(1).optional(),
    probabilities_first_20: z.array(z.array(z.number()).min(1)).min(1).optional(),
    top5: z
      .array(z.array(z.tuple([z.int().min(0), z.number()])).min(1))
      .min(1)
      .optional(),
  })
  .superRefine((golden, context) => {
    const batches = batchSizes(golden);
    if (batches.length === 0) {
      context.addIssue({ code: "custom", path: [], message: "there is nothing to compare: no taps, no probabilities" });
    }
    for (const { path, images } of batches) {
      if (images === batches[0]!.images && images <= largestBatch) continue;
      const expected =
        images > largestBatch ? `at most ${largestBatch} are allowed` : `the others are of ${batches[0]!.images}`;
      context.addIssue({ code: "custom", path, message: `this is of ${images} images; ${expected}` });
    }
  });

/**
 * What another tool computed with the weights and images of the formula: statistics and sampled values of some layers'
 * outputs (taps), and the probabilities at the end.
 */
export type Golden = z.infer<typeof goldenSchema>;

/** A layer's output, channels last, with the batch axis: `values` stand at the flat indices `at`, in C order. */
export type GoldenTap = z.infer<typeof tapSchema>;

/**
 * Reads a golden file.
 * @throws {FormatError} this is no JSON, or a field is missing or makes no sense; the message names it.
 */
export function parseGolden(text: string, file: string): Golden {
  const where = goldenName(file);
  return checkDocument(goldenSchema, parseJson(text, where), where);
}

/** What errors call a golden file. */
export function goldenName(file: string): string {
  return `golden file ${JSON.stringify(file)}`;
}

/** Number of images the values belong to. */
export function goldenBatch(golden: Golden): number {
  return batchSizes(golden)[0]!.images;
}

function batchSizes({ taps, probabilities, probabilities_first_20, top5 }: Omit<Golden, "weights">) {
  return [
    ...Object.entries(taps).map(([layer, { shape }]) => ({ path: ["taps", layer, "shape"], images: shape[0]! })),
    ...Object.entries({ probabilities, probabilities_first_20, top5 }).flatMap(([name, rows]) =>
      rows === undefined ? [] : [{ path: [name], images: rows.length }],
    ),
  ];
}
