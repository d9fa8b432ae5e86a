import { FormatError } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import { KerasFields, type PixelRescaling } from "./layer-rules.ts";

/** The deepest networks in use have about a thousand layers; walking a graph takes stack. */
const mostLayers = 2000;

type Json = Readonly<Record<string, unknown>>;

/** A parsed `model_config`. */
export interface KerasModel {
  readonly name: string;
  /** Its class: `Functional`, in Keras 2 also `Model`, or `Sequential`. */
  readonly type: string;
  readonly layers: readonly KerasEntry[];
  readonly inputLayers: unknown;
  readonly outputLayers: unknown;
}

/** One layer of a `model_config`. */
export interface KerasEntry {
  readonly type: string;
  readonly name: string;
  readonly where: string;
  readonly fields: KerasFields;
  readonly inboundNodes: unknown;
  /** The TensorFlow function that a `TFOpLambda` calls. */
  readonly functionName: unknown;
  /** Its layers, if it is itself a model: one of keras.applications below a custom classifier. */
  readonly model?: KerasModel;
}

const modelTypes: readonly string[] = ["Functional", "Model", "Sequential"];

/**
 * Parses a `model_config`.
 * @throws {FormatError} it does not describe a network by its layers.
 */
export function kerasModel(config: string, where: string): KerasModel {
  const json = parseJson(config, where, { what: "the description of the network is not JSON" });
  if (!isObject(json)) throw new FormatError({ where, what: "the description of the network is not an object" });
  const model = modelOf(json, where);
  assertNotTooMany(namesInModel(model).length, where);
  return model;
}

/** Names of all layers, including those of nested models. */
export function namesInModel({ layers }: KerasModel): readonly string[] {
  return layers.flatMap(({ name, model }) => (model ? [name, ...namesInModel(model)] : name));
}

function modelOf(model: Json, where: string): KerasModel {
  const type = typeof model.class_name === "string" ? model.class_name : typeof model.class_name;
  // Older sequential models are just a list of layers.
  const body = Array.isArray(model.config) ? { layers: model.config } : model.config;
  if (!modelTypes.includes(type) || !isObject(body) || !Array.isArray(body.layers)) {
    throw new FormatError({
      where,
      what: "the model is not described by its layers",
      received: type,
      expected: "a Functional or Sequential model",
    });
  }
  assertNotTooMany(body.layers.length, where);
  return {
    name: typeof body.name === "string" ? body.name : "keras_model",
    type,
    layers: body.layers.map((layer: unknown) => entryOf(layer, where)),
    inputLayers: body.input_layers,
    outputLayers: body.output_layers,
  };
}

function assertNotTooMany(layers: number, where: string): void {
  if (layers <= mostLayers) return;
  throw new FormatError({ where, what: "too many layers", received: layers, expected: `at most ${mostLayers}` });
}

function entryOf(layer: unknown, file: string): KerasEntry {
  const {
    class_name: stored,
    config: given,
    name: outerName,
    inbound_nodes: inboundNodes,
  } = isObject(layer) ? layer : {};
  if (typeof stored !== "string" || !isObject(given)) {
    throw new FormatError({ where: file, what: "a layer has no class or no config", received: layer });
  }
  const { type, config } = modernized(stored, given);
  const name = config.name ?? outerName;
  if (typeof name !== "string") throw new FormatError({ where: file, what: `a layer of class ${type} has no name` });
  const where = `${file}, ${type} "${name}"`;
  const fields = new KerasFields(config, where);
  const entry = { type, name, where, fields, inboundNodes, functionName: config.function };
  return modelTypes.includes(type) ? { ...entry, model: modelOf({ class_name: type, config: given }, where) } : entry;
}

/** Classes that had another name in Keras 1, and aliases of classes in Keras 2. */
const modernClasses: ReadonlyMap<string, string> = new Map([
  ["Convolution2D", "Conv2D"],
  ["SeparableConvolution2D", "SeparableConv2D"],
  ["MaxPool2D", "MaxPooling2D"],
  ["AvgPool2D", "AveragePooling2D"],
  ["GlobalAvgPool2D", "GlobalAveragePooling2D"],
  ["GlobalMaxPool2D", "GlobalMaxPooling2D"],
]);

/** Fields that had another name in Keras 1. */
const modernFields: ReadonlyMap<string, string> = new Map([
  ["nb_filter", "filters"],
  ["subsample", "strides"],
  ["border_mode", "padding"],
  ["bias", "use_bias"],
  ["output_dim", "units"],
  ["p", "rate"],
  ["dim_ordering", "data_format"],
]);

/**
 * Translates a layer of Keras 1 into Keras 2; one of Keras 2 or 3 stays as it is.
 * @see keras/legacy/interfaces.py of Keras 2
 */
function modernized(type: string, config: Json): { readonly type: string; readonly config: Json } {
  const modern: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config)) modern[modernFields.get(name) ?? name] = value;
  const { nb_row: rows, nb_col: columns } = config;
  if (rows !== undefined && columns !== undefined) modern.kernel_size = [rows, columns];
  if (config.dim_ordering === "tf") modern.data_format = "channels_last";
  if (config.dim_ordering === "th") modern.data_format = "channels_first";
  if (type === "Merge" && config.mode === "sum") return { type: "Add", config: modern };
  if (type === "Merge" && config.mode === "concat") {
    return { type: "Concatenate", config: { ...modern, axis: config.concat_axis } };
  }
  return { type: modernClasses.get(type) ?? type, config: modern };
}

/**
 * Names of the layers that a layer of a functional model reads: `[[["conv2d_1", 0, 0, {}]]]` of Keras 2, or the tensors
 * among the arguments of Keras 3's call.
 * @param where the layer's name in errors.
 * @param harmless names of arguments to ignore.
 * @throws {FormatError} the layer is shared, or called with arguments that change what it does.
 */
export function inboundNames(nodes: unknown, where: string, harmless: readonly string[] = []): readonly string[] {
  if (!Array.isArray(nodes)) throw inboundError(where, "its inputs are missing", nodes);
  if (nodes.length === 0) return [];
  if (nodes.length > 1) throw inboundError(where, "shared layers are not supported", nodes.length, "one call");
  const [node] = nodes as unknown[];
  if (isObject(node)) {
    assertNoArguments(node.kwargs, where, harmless);
    return tensorsIn(node.args, where);
  }
  if (!Array.isArray(node)) throw inboundError(where, "unknown form of inputs", node);
  return node.map((each: unknown) => {
    const [, , , options] = Array.isArray(each) ? each : [];
    assertNoArguments(options, where, harmless);
    return historyName(each, where);
  });
}

/**
 * The name of the only layer in `input_layers` or `output_layers`: `["image", 0, 0]`, or in a list of one.
 * @throws {FormatError} there are several.
 */
export function onlyLayer(value: unknown, where: string): string {
  const single = Array.isArray(value) && Array.isArray(value[0]) && value.length === 1 ? value[0] : value;
  if (Array.isArray(single) && typeof single[0] === "string") return historyName(single, where);
  throw inboundError(where, "only networks with one input and one output are supported", value, "one layer");
}

function tensorsIn(value: unknown, where: string): string[] {
  if (Array.isArray(value)) return value.flatMap((each) => tensorsIn(each, where));
  if (isObject(value) && value.class_name === "__keras_tensor__" && isObject(value.config)) {
    return [historyName(value.config.keras_history, where)];
  }
  throw inboundError(where, "an argument of its call is not the output of a layer", value);
}

/** Reads `[layer, call, output]`; the first call of a model used as a layer is 1, its own is 0. */
function historyName(history: unknown, where: string): string {
  const [name, call, output] = Array.isArray(history) ? history : [];
  if (typeof name === "string" && (call === 0 || call === 1) && output === 0) return name;
  throw inboundError(where, "unknown form of inputs", history, "[name, 0, 0]");
}

/** `training: true`, for example, would keep a dropout on at inference. */
function assertNoArguments(given: unknown, where: string, harmless: readonly string[]): void {
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value === null || (name === "training" && value === false) || harmless.includes(name)) continue;
    throw inboundError(where, `it is called with the argument "${name}"`, value, "the layer without arguments");
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function inboundError(where: string, what: string, received: unknown, expected?: string): FormatError {
  return new FormatError({ where, what, received, ...(expected !== undefined && { expected }) });
}

type Meaning = (value: number) => PixelRescaling;

const divide: Meaning = (value) => ({ scale: 1 / value, offset: 0 });
const multiply: Meaning = (value) => ({ scale: value, offset: 0 });
const subtract: Meaning = (value) => ({ scale: 1, offset: -value });
const add: Meaning = (value) => ({ scale: 1, offset: value });

/** Keras 3's operations, which are also merging layers, and TensorFlow functions in a `TFOpLambda`. */
const meanings: ReadonlyMap<unknown, Meaning> = new Map([
  ["TrueDivide", divide],
  ["Divide", divide],
  ["Multiply", multiply],
  ["Subtract", subtract],
  ["Add", add],
  ["math.truediv", divide],
  ["math.divide", divide],
  ["math.multiply", multiply],
  ["math.subtract", subtract],
  ["math.add", add],
  ["__operators__.add", add],
]);

/**
 * Arithmetic with one number, as `preprocess_input` of keras.applications leaves it in a model: `x / 127.5`, `x - 1.0`.
 * @returns the layer it applies to and what it computes; undefined for other operations.
 */
export function scalingOf({ type, functionName, where, inboundNodes }: KerasEntry) {
  const meaning = meanings.get(type === "TFOpLambda" ? functionName : type);
  const [node, ...others] = Array.isArray(inboundNodes) ? (inboundNodes as unknown[]) : [];
  if (meaning === undefined || others.length > 0) return undefined;
  const found = type === "TFOpLambda" ? tensorFlowOperand(node) : kerasOperand(node);
  // An infinite scale would make all pixels equal.
  if (found === undefined || !Number.isFinite(meaning(found.value).scale)) return undefined;
  const [input] = inboundNames([found.node], where);
  return input === undefined ? undefined : { input, rescaling: meaning(found.value) };
}

/** `["image", 0, 0, {"y": 127.5, "name": null}]` */
function tensorFlowOperand(node: unknown) {
  const [name, call, output, options] = Array.isArray(node) ? node : [];
  if (!isObject(options) || typeof options.y !== "number") return undefined;
  const { y: value, ...rest } = options;
  return { value, node: [[name, call, output, rest]] };
}

/** `{"args": [tensor, 127.5], "kwargs": {}}` */
function kerasOperand(node: unknown) {
  const { args, ...rest } = isObject(node) ? node : {};
  const [tensor, value, ...others] = Array.isArray(args) ? args : [];
  if (typeof value !== "number" || others.length > 0) return undefined;
  return { value, node: { ...rest, args: [tensor] } };
}
