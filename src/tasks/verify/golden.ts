import { FormatError } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import { anyJson, choice, number, onOff, string, wholeNumber } from "../../base/kinds.ts";
import { type Described, either, exact, fitting, list, optional, orElse, record, tuple } from "../../base/schema.ts";
import { architectureSchema } from "../../models/architecture-schema.ts";
import { counted } from "../../report/numbers.ts";
import { sizeOf } from "../../tensor/shape.ts";

/** Most images in a file; more are a mistake, and would only exhaust memory. */
const largestBatch = 256;

const count = wholeNumber({ from: 0 });
const size = wholeNumber({ from: 1 });
const row = list(number(), 1, 1_000_000);
const rows = list(row, 1);

const tapSchema = exact({
  shape: list(size, 2),
  std: number({ from: 0 }),
  mean: optional(number()),
  min: optional(number()),
  max: optional(number()),
  at: list(count, 1),
  values: list(number()),
});

const goldenSchema = exact({
  architecture: architectureSchema,
  /** Index, name, shape and, if given, whether it trains, for every weight or some of them. */
  weights: optional(list(tuple(count, string, list(size), optional(onOff())), 1)),
  taps: orElse(record(tapSchema), {}),
  probabilities: optional(rows),
  probabilities_first_20: optional(rows),
  top5: optional(list(list(tuple(count, number()), 1), 1)),
  /** The input of the classifier, or the output of a network without one, flattened, for each image. */
  features: optional(rows),
});

/**
 * Values that another tool computed with synthetic weights and images: statistics and sampled values of some layers'
 * outputs (taps), and the network's output.
 */
export type Golden = Described<typeof goldenSchema>;

/** A layer's output, channels last, with the batch axis: `values` stand at the flat indices `at`, in C order. */
export type GoldenTap = Described<typeof tapSchema>;

const weightFields = { path: string, norm: number(), first: list(number(), 1, 1000) };
const trainingSchema = exact({
  architecture: architectureSchema,
  input_shape: tuple(size, size, size),
  batch: optional(wholeNumber({ from: 1, to: largestBatch })),
  labels: list(count, 1, largestBatch),
  classes: size,
  /** The optimizer and its numbers, e.g. `SGD lr 0.01 momentum 0.9`; after a comma or a parenthesis, remarks. */
  optimizer: string,
  /** Activation in place of every ReLU. */
  activation: optional(choice("elu")),
  losses: list(number(), 1, 100),
  /** By position among the network's weights: Euclidean norm and first values after the last step. */
  weights_after: orElse(record(exact(weightFields)), {}),
  /** By name: Euclidean norms of the weight after the last step, and of its change. */
  norm_and_change_after: optional(record(tuple(number(), number()))),
  /** Versions and precision of the tool that computed the values. */
  torch: optional(string),
  keras: optional(string),
  floatx: optional(string),
});

/** Values of a few training steps on synthetic weights and images. */
export type TrainingGolden = Described<typeof trainingSchema>;

/**
 * Reads the golden values of a forward pass.
 * @throws {FormatError} the text is not JSON, or a field is missing, unknown or invalid; the message names it.
 */
export function parseGolden(text: string, file: string): Golden {
  const where = goldenName(file);
  const golden = fitting(goldenSchema, parseJson(text, where), where);
  for (const [layer, tap] of Object.entries(golden.taps)) assertTap(tap, `${where}, field taps.${layer}`);
  const batches = batchSizes(golden);
  if (batches.length === 0) {
    const expected = "taps, probabilities, probabilities_first_20, top5 or features";
    throw new FormatError({ where, what: "there is nothing to compare", expected });
  }
  for (const { path, images } of batches) {
    if (images === batches[0]!.images && images <= largestBatch) continue;
    const expected =
      images > largestBatch ? `at most ${largestBatch} are allowed` : `the others are of ${batches[0]!.images}`;
    throw new FormatError({
      where: `${where}, field ${path}`,
      what: `this is of ${counted(images, "image")}; ${expected}`,
    });
  }
  return golden;
}

function assertTap({ shape, at, values }: GoldenTap, where: string): void {
  if (values.length !== at.length) {
    const what = `there are ${values.length} values for ${at.length} indices in "at"`;
    throw new FormatError({ where: `${where}.values`, what });
  }
  const position = at.findIndex((index) => index >= sizeOf(shape));
  if (position < 0) return;
  const what = `index ${at[position]} is beyond the last of the ${sizeOf(shape)} values of ${shape.join("×")}`;
  throw new FormatError({ where: `${where}.at.${position}`, what });
}

/**
 * Reads the golden values of a training run.
 * @throws as {@link parseGolden}.
 */
export function parseTrainingGolden(text: string, file: string): TrainingGolden {
  const where = goldenName(file);
  const golden = fitting(trainingSchema, parseJson(text, where), where);
  if (golden.batch === undefined || golden.batch === golden.labels.length) return golden;
  const [received, expected] = [golden.batch, `${golden.labels.length}, the number of labels`];
  throw new FormatError({ where: `${where}, field batch`, what: "it contradicts the labels", received, expected });
}

const timmFields = {
  logits: list(row, 1, largestBatch),
  params: optional(size),
  /** All entries of the `state_dict` but counters as index, name and shape, or how many there are. */
  keys: optional(either(size, list(tuple(count, string, list(size)), 1))),
  bn_eps: optional(list(number())),
};
const timmSchema = record(exact(timmFields));

/** Logits and facts of timm's networks, by timm's names. */
export type TimmGolden = Described<typeof timmSchema>;

/**
 * Reads the golden values of timm's networks.
 * @throws as {@link parseGolden}.
 */
export function parseTimmGolden(text: string, file: string): TimmGolden {
  const where = goldenName(file);
  return fitting(timmSchema, parseJson(text, where), where);
}

const mapSchema = exact({
  shape: tuple(size, size, size),
  mean: number(),
  std: number({ from: 0 }),
  min: number(),
  max: number(),
  at_0_0: row,
  at_center: row,
  at_last: row,
});

const photoSchema = exact({
  layers: list(string, 1),
  images: record(record(anyJson)),
  keras: optional(string),
  tf: optional(string),
  preprocess: optional(string),
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
  const { layers, images } = fitting(photoSchema, parseJson(text, where), where);
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
    const map = fitting(mapSchema, maps[layer], `${where}, ${name}, layer "${layer}"`);
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
  const pooled = others.map((key) => fitting(row, maps[key], `${where}, ${name}, field "${key}"`)).at(-1);
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

function batchSizes({ taps, ...golden }: Golden) {
  const { probabilities, probabilities_first_20, top5, features } = golden;
  return [
    ...Object.entries(taps).map(([layer, { shape }]) => ({ path: `taps.${layer}.shape`, images: shape[0]! })),
    ...Object.entries({ probabilities, probabilities_first_20, top5, features }).flatMap(([name, rows]) =>
      rows === undefined ? [] : [{ path: name, images: rows.length }],
    ),
  ];
}
