import * as z from "zod";
import { checkDocument } from "../../base/document.ts";
import { FormatError } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import { check } from "../../base/schema.ts";
import { architectureSchema } from "../../models/architecture-schema.ts";
import { sizeOf } from "../../tensor/shape.ts";

/** Most images in a file; more are a mistake, and would only exhaust memory. */
const largestBatch = 256;

const size = z.int().min(1);
const row = z.array(z.number()).min(1).max(1_000_000);
const rows = z.array(row).min(1);

const tapSchema = z
  .strictObject({
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

const architecture = z.unknown().transform((value, context) => {
  const checked = check(architectureSchema, value);
  if (!checked.problem) return checked.value;
  const { path, expected } = checked.problem;
  context.addIssue({ code: "custom", path: path === "" ? [] : path.split("."), message: `expected ${expected}` });
  return z.NEVER;
});

const forwardSchema = z.strictObject({
  architecture,
  /** Index, name, shape and, if given, whether it trains, for every weight or some of them. */
  weights: z
    .array(z.tuple([z.int().min(0), z.string(), z.array(size)]).rest(z.boolean()))
    .min(1)
    .optional(),
  taps: z.record(z.string(), tapSchema).default({}),
  probabilities: rows.optional(),
  probabilities_first_20: rows.optional(),
  top5: z
    .array(z.array(z.tuple([z.int().min(0), z.number()])).min(1))
    .min(1)
    .optional(),
  /** The input of the classifier, or the output of a network without one, flattened, for each image. */
  features: rows.optional(),
});

const goldenSchema = forwardSchema.superRefine((golden, context) => {
  const batches = batchSizes(golden);
  if (batches.length === 0) {
    const message =
      "there is nothing to compare; expected taps, probabilities, probabilities_first_20, top5 or features";
    context.addIssue({ code: "custom", path: [], message });
  }
  for (const { path, images } of batches) {
    if (images === batches[0]!.images && images <= largestBatch) continue;
    const expected =
      images > largestBatch ? `at most ${largestBatch} are allowed` : `the others are of ${batches[0]!.images}`;
    context.addIssue({ code: "custom", path, message: `this is of ${images} images; ${expected}` });
  }
});

/**
 * Values that another tool computed with synthetic weights and images: statistics and sampled values of some layers'
 * outputs (taps), and the network's output.
 */
export type Golden = z.infer<typeof goldenSchema>;

/** A layer's output, channels last, with the batch axis: `values` stand at the flat indices `at`, in C order. */
export type GoldenTap = z.infer<typeof tapSchema>;

const trainingSchema = z.strictObject({
  architecture,
  input_shape: z.tuple([size, size, size]),
  batch: size.max(largestBatch).optional(),
  labels: z.array(z.int().min(0)).min(1).max(largestBatch),
  classes: size,
  /** The optimizer and its numbers, e.g. `SGD lr 0.01 momentum 0.9`; after a comma or a parenthesis, remarks. */
  optimizer: z.string(),
  /** Activation in place of every ReLU. */
  activation: z.literal("elu").optional(),
  losses: z.array(z.number()).min(1).max(100),
  /** By position among the network's weights: Euclidean norm and first values after the last step. */
  weights_after: z
    .record(z.string(), z.strictObject({ path: z.string(), norm: z.number(), first: row.max(1000) }))
    .default({}),
  /** By name: Euclidean norms of the weight after the last step, and of its change. */
  norm_and_change_after: z.record(z.string(), z.tuple([z.number(), z.number()])).optional(),
  /** Versions and precision of the tool that computed the values. */
  torch: z.string().optional(),
  keras: z.string().optional(),
  floatx: z.string().optional(),
});

/** Values of a few training steps on synthetic weights and images. */
export type TrainingGolden = z.infer<typeof trainingSchema>;

/**
 * Reads the golden values of a forward pass.
 * @throws {FormatError} the text is not JSON, or a field is missing, unknown or invalid; the message names it.
 */
export function parseGolden(text: string, file: string): Golden {
  const where = goldenName(file);
  return checkDocument(goldenSchema, parseJson(text, where), where);
}

/**
 * Reads the golden values of a training run.
 * @throws as {@link parseGolden}.
 */
export function parseTrainingGolden(text: string, file: string): TrainingGolden {
  const where = goldenName(file);
  const golden = checkDocument(trainingSchema, parseJson(text, where), where);
  if (golden.batch === undefined || golden.batch === golden.labels.length) return golden;
  const [received, expected] = [golden.batch, `${golden.labels.length}, the number of labels`];
  throw new FormatError({ where: `${where}, field batch`, what: "it contradicts the labels", received, expected });
}

const timmSchema = z.record(
  z.string(),
  z.strictObject({
    logits: rows.max(largestBatch),
    params: size.optional(),
    /** All entries of the `state_dict` but counters as index, name and shape, or how many there are. */
    keys: z.union([size, z.array(z.tuple([z.int().min(0), z.string(), z.array(size)])).min(1)]).optional(),
    bn_eps: z.array(z.number()).optional(),
  }),
);

/** Logits and facts of timm's networks, by timm's names. */
export type TimmGolden = z.infer<typeof timmSchema>;

/**
 * Reads the golden values of timm's networks.
 * @throws as {@link parseGolden}.
 */
export function parseTimmGolden(text: string, file: string): TimmGolden {
  const where = goldenName(file);
  return checkDocument(timmSchema, parseJson(text, where), where);
}

const mapSchema = z.strictObject({
  shape: z.tuple([size, size, size]),
  mean: z.number(),
  std: z.number().min(0),
  min: z.number(),
  max: z.number(),
  at_0_0: row,
  at_center: row,
  at_last: row,
});

const photoSchema = z.strictObject({
  layers: z.array(z.string()).min(1),
  images: z.record(z.string(), z.record(z.string(), z.unknown())),
  keras: z.string().optional(),
  tf: z.string().optional(),
  preprocess: z.string().optional(),
});

/**
 * Reads what another tool computed for a photo, layer by layer: statistics of each feature map, and its first channels at
 * three places: the first pixel, the middle one (half the sides, rounded down) and the last. `pooled`, from an entry
 * `gap_…`, holds the means of the first channels of the last map.
 * @param image name of the photo, if there are several; default: the first.
 * @throws {FormatError} it is not such a file, or the photo is missing; the message names the field.
 */
export function parsePhotoGolden(text: string, file: string, image?: string) {
  const where = goldenName(file);
  const { layers, images } = checkDocument(photoSchema, parseJson(text, where), where);
  const name = image ?? Object.keys(images)[0] ?? "";
  const maps = Object.hasOwn(images, name) ? images[name] : undefined;
  if (maps === undefined) {
    throw new FormatError({
      where: `${where}, field images`,
      what: "there is no such image",
      received: name,
      expected: Object.keys(images).join(", "),
    });
  }
  const taps = layers.map((layer): readonly [string, GoldenTap] => {
    const map = checkDocument(mapSchema, maps[layer], `${where}, ${name}, layer "${layer}"`);
    const [height, width, depth] = map.shape;
    const places = [
      [0, map.at_0_0],
      [Math.floor(height / 2) * width + Math.floor(width / 2), map.at_center],
      [height * width - 1, map.at_last],
    ] as const;
    const samples = places.flatMap(([pixel, values]) =>
      values.slice(0, depth).map((value, channel) => [pixel * depth + channel, value] as const),
    );
    const { mean, std, min, max } = map;
    const sampled = { at: samples.map(([index]) => index), values: samples.map(([, value]) => value) };
    return [layer, { shape: [1, height, width, depth], mean, std, min, max, ...sampled }];
  });
  const others = Object.keys(maps).filter((key) => !layers.includes(key));
  const unknown = others.find((key) => !key.startsWith("gap_"));
  if (unknown !== undefined) {
    throw new FormatError({ where: `${where}, ${name}`, what: "this key is unknown", received: unknown });
  }
  const pooled = others.map((key) => checkDocument(row, maps[key], `${where}, ${name}, field "${key}"`)).at(-1);
  return { taps: Object.fromEntries(taps), ...(pooled && { pooled }) };
}

/**
 * Detects the kind of a golden file by its keys: forward pass, training steps, several timm networks, or a photo.
 * @throws {FormatError} the text is not JSON.
 */
export function goldenKind(text: string, file: string): "forward" | "training" | "timm" | "photo" {
  const content = parseJson(text, goldenName(file));
  if (typeof content !== "object" || content === null) return "forward";
  if ("losses" in content) return "training";
  if ("images" in content && "layers" in content) return "photo";
  const isTimm = (each: unknown) => typeof each === "object" && each !== null && "logits" in each;
  return Object.values(content).some(isTimm) ? "timm" : "forward";
}

/** Returns the name of a golden file in errors. */
export function goldenName(file: string): string {
  return `golden file ${JSON.stringify(file)}`;
}

/** Returns the number of images behind the values. */
export function goldenBatch(golden: Golden): number {
  return batchSizes(golden)[0]!.images;
}

function batchSizes({ taps, ...golden }: z.infer<typeof forwardSchema>) {
  const { probabilities, probabilities_first_20, top5, features } = golden;
  return [
    ...Object.entries(taps).map(([layer, { shape }]) => ({ path: ["taps", layer, "shape"], images: shape[0]! })),
    ...Object.entries({ probabilities, probabilities_first_20, top5, features }).flatMap(([name, rows]) =>
      rows === undefined ? [] : [{ path: [name], images: rows.length }],
    ),
  ];
}
