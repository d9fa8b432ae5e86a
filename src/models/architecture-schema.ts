import { z } from "zod";
import type { ActivationName, ConfigOf, LayerConfig, LayerType, Padding } from "../graph/layers.ts";
import { type Architecture, families } from "./registry.ts";

/** Limit against hostile files; the largest known networks have about 300 layers. */
const mostLayers = 2000;

const size = z
  .int()
  .min(1)
  .max(2 ** 24);
const sizes = z.tuple([size, size]).readonly();
const name = z.string().min(1).max(500);
const activation = z.enum(["linear", "relu", "elu", "sigmoid", "softmax"] satisfies ActivationName[]);
const pixels = z.literal(0).or(size);
const margin = z.tuple([pixels, pixels]).readonly();
const padding: z.ZodType<Padding> = z.union([z.enum(["valid", "same"]), margin]);
const convolution = { kernelSize: sizes, strides: sizes, padding, useBias: z.boolean() };

const layerSchemas: { readonly [T in LayerType]: z.ZodObject & z.ZodType<ConfigOf<T>> } = {
  InputLayer: z.strictObject({ type: z.literal("InputLayer"), shape: z.array(size).min(1).max(3) }),
  Conv2D: z.strictObject({ type: z.literal("Conv2D"), filters: size, ...convolution, groups: size.optional() }),
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
    scale: z.boolean().default(true),
    center: z.boolean().default(true),
  }),
  Activation: z.strictObject({ type: z.literal("Activation"), activation }),
  ReLU: z.strictObject({ type: z.literal("ReLU") }),
  LeakyReLU: z.strictObject({ type: z.literal("LeakyReLU"), negativeSlope: z.number() }),
  MaxPooling2D: z.strictObject({ type: z.literal("MaxPooling2D"), poolSize: sizes, strides: sizes, padding }),
  AveragePooling2D: z.strictObject({ type: z.literal("AveragePooling2D"), poolSize: sizes, strides: sizes, padding }),
  ZeroPadding2D: z.strictObject({ type: z.literal("ZeroPadding2D"), padding: z.tuple([margin, margin]).readonly() }),
  GlobalAveragePooling2D: z.strictObject({ type: z.literal("GlobalAveragePooling2D") }),
  GlobalMaxPooling2D: z.strictObject({ type: z.literal("GlobalMaxPooling2D") }),
  Add: z.strictObject({ type: z.literal("Add") }),
  Concatenate: z.strictObject({ type: z.literal("Concatenate"), axis: z.int().min(1).max(3) }),
  Flatten: z.strictObject({ type: z.literal("Flatten") }),
  Dropout: z.strictObject({ type: z.literal("Dropout"), rate: z.number() }),
  Dense: z.strictObject({ type: z.literal("Dense"), units: size, activation, useBias: z.boolean() }),
};

const [firstSchema, ...otherSchemas] = Object.values(layerSchemas);
const layerConfig = z.discriminatedUnion("type", [firstSchema!, ...otherSchemas]) as unknown as z.ZodType<LayerConfig>;

const listSchema = z.object({
  family: z.literal("layers"),
  name,
  layers: z
    .array(z.object({ name, config: layerConfig, inbound: z.array(name).max(100) }))
    .min(1)
    .max(mostLayers),
  output: name,
  seed: z.int().min(0),
});

const [firstFamily, ...otherFamilies] = families.map(({ family }) =>
  z.object({ family: z.literal(family as string), options: z.looseObject({}) }),
);

/** An architecture as stored in a file. Building the network checks how options and layers combine. */
export const architectureSchema = z.discriminatedUnion("family", [
  firstFamily!,
  ...otherFamilies,
  listSchema,
]) as unknown as z.ZodType<Architecture>;
