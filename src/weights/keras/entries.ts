import { FormatError } from "../../errors.ts";
import { parseJson } from "../../json-document.ts";
import { KerasFields } from "./fields.ts";
import { inTodaysWords } from "./first.ts";
import { isObject } from "./inbound.ts";

/** The deepest networks in use have about a thousand layers; walks along a graph need stack. */
const mostLayers = 2000;

/** A `model_config`, taken apart. */
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
  /** Which function of TensorFlow a `TFOpLambda` calls. */
  readonly functionName: unknown;
  /** What it is made of, if it is a model itself: that of keras.applications below a classifier of one's own. */
  readonly model?: KerasModel;
}

const modelTypes: readonly string[] = ["Functional", "Model", "Sequential"];

/**
 * Takes a `model_config` apart into its layers.
 * @throws {FormatError} it is no description of a network by its layers.
 */
export function kerasModel(config: string, where: string): KerasModel {
  const model = modelOf(parse(config, where), where);
  assertNotTooMany(layerNames(model).length, where);
  return model;
}

/** Names of all layers, those of models within the model, too. */
export function layerNames({ layers }: KerasModel): readonly string[] {
  return layers.flatMap(({ name, model }) => (model ? [name, ...layerNames(model)] : name));
}

function modelOf(model: Readonly<Record<string, unknown>>, where: string): KerasModel {
  const type = typeof model.class_name === "string" ? model.class_name : typeof model.class_name;
  // Older sequential models are but a list of layers.
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
  throw new FormatError({
    where,
    what: "there are too many layers",
    received: layers,
    expected: `at most ${mostLayers}`,
  });
}

function parse(config: string, where: string): Readonly<Record<string, unknown>> {
  const model = parseJson(config, where, "the description of the network is no JSON");
  if (isObject(model)) return model;
  throw new FormatError({ where, what: "the description of the network is no object" });
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
  const { type, config } = inTodaysWords(stored, given);
  const name = config.name ?? outerName;
  if (typeof name !== "string") throw new FormatError({ where: file, what: `a layer of class ${type} has no name` });
  const where = `${file}, ${type} "${name}"`;
  const entry = {
    type,
    name,
    where,
    fields: new KerasFields(config, where),
    inboundNodes,
    functionName: config.function,
  };
  return modelTypes.includes(type) ? { ...entry, model: modelOf({ class_name: type, config: given }, where) } : entry;
}
