import * as z from "zod/mini";
import type { ActivationName, ConfigOf, LayerConfig, LayerType, Padding } from "../graph/layers.ts";
import { type Architecture, families } from "./registry.ts";

/** Limit against hostile files; the largest known networks have about 300 layers. */
const mostLayers = 2000;

const size = z.int().check(z.minimum(1), z.maximum(2 ** 24));
const sizes = z.readonly(z.tuple([size, size]));
const name = z.string().check(z.minLength(1), z.maxLength(500));
const activation = z.enum(["linear", "relu", "elu", "sigmoid", "softmax"] satisfies ActivationName[]);
const pixels = z.union([z.literal(0), size]);
const margin = z.readonly(z.tuple([pixels, pixels]));
const padding: z.ZodMiniType<Padding> = z.union([z.enum(["valid", "same"]), margin]);
const convolution = { kernelSize: sizes, strides: sizes, padding, useBias: z.boolean() };

const layerSchemas: { readonly [T in LayerType]: z.ZodMiniObject & z.ZodMiniType<ConfigOf<T>> } = {
  InputLayer: z.strictObject({
    type: z.literal("InputLayer"),
    shape: z.array(size).check(z.minLength(1), z.maxLength(3)),
  }),
  Conv2D: z.strictObject({ type: z.literal("Conv2D"), filters: size, ...convolution, groups: z.optional(size) }),
  SeparableConv2D: z.strictObject({
    type: z.literal("SeparableConv2D"),
    filters: size,
    ...convolution,
    intermediateActivation: activation,
  }),
  DepthwiseConv2D: z.strictObject({ type: z.literal("DepthwiseConv2D"), ...convolution }),
  BatchNormalization: z.strictObject({
    type: z.literal("BatchNormalization"),
    momentum: z.number(),
    epsilon: z.number(),
    scale: z._default(z.boolean(), true),
    center: z._default(z.boolean(), true),
  }),
  Activation: z.strictObject({ type: z.literal("Activation"), activation }),
  ReLU: z.strictObject({ type: z.literal("ReLU") }),
  LeakyReLU: z.strictObject({ type: z.literal("LeakyReLU"), negativeSlope: z.number() }),
  MaxPooling2D: z.strictObject({ type: z.literal("MaxPooling2D"), poolSize: sizes, strides: sizes, padding }),
  AveragePooling2D: z.strictObject({ type: z.literal("AveragePooling2D"), poolSize: sizes, strides: sizes, padding }),
  ZeroPadding2D: z.strictObject({ type: z.literal("ZeroPadding2D"), padding: z.readonly(z.tuple([margin, margin])) }),
  GlobalAveragePooling2D: z.strictObject({ type: z.literal("GlobalAveragePooling2D") }),
  GlobalMaxPooling2D: z.strictObject({ type: z.literal("GlobalMaxPooling2D") }),
  Add: z.strictObject({ type: z.literal("Add") }),
  Concatenate: z.strictObject({ type: z.literal("Concatenate"), axis: z.int().check(z.minimum(1), z.maximum(3)) }),
  Flatten: z.strictObject({ type: z.literal("Flatten") }),
  Dropout: z.strictObject({ type: z.literal("Dropout"), rate: z.number() }),
  Dense: z.strictObject({ type: z.literal("Dense"), units: size, activation, useBias: z.boolean() }),
};

const [firstSchema, ...otherSchemas] = Object.values(layerSchemas);
const layerConfig = z.discriminatedUnion("type", [
  firstSchema!,
  ...otherSchemas,
]) as unknown as z.ZodMiniType<LayerConfig>;

const listSchema = z.object({
  family: z.literal("layers"),
  name,
  layers: z
    .array(z.object({ name, config: layerConfig, inbound: z.array(name).check(z.maxLength(100)) }))
    .check(z.minLength(1), z.maxLength(mostLayers)),
  output: name,
  seed: z.int().check(z.minimum(0)),
});

const [firstFamily, ...otherFamilies] = families.map(({ family }) =>
  z.object({ family: z.literal(family as string), options: z.looseObject({}) }),
);

/** An architecture as stored in a file. Building the network checks how options and layers combine. */
export const architectureSchema = z.discriminatedUnion("family", [
  firstFamily!,
  ...otherFamilies,
  listSchema,
]) as unknown as z.ZodMiniType<Architecture>;
