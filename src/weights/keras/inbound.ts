import { FormatError } from "../../errors.ts";

type Json = Readonly<Record<string, unknown>>;

/**
 * Names of the layers that a layer of a functional model reads: `[[["conv2d_1", 0, 0, {}]]]` of Keras 2, or the tensors
 * within the arguments of Keras 3's call.
 * @param where what errors call the layer.
 * @param harmless names of arguments that change nothing here.
 * @throws {FormatError} the layer is used several times, or called with arguments that change what it does.
 */
export function inboundNames(nodes: unknown, where: string, harmless: readonly string[] = []): readonly string[] {
  if (!Array.isArray(nodes)) throw refuse(where, "its inputs are missing", nodes);
  if (nodes.length === 0) return [];
  if (nodes.length > 1) throw refuse(where, "the layer is used several times", nodes.length, "one place");
  const [node] = nodes as unknown[];
  if (isObject(node)) {
    assertNoArguments(node.kwargs, where, harmless);
    return tensorsIn(node.args, where);
  }
  if (!Array.isArray(node)) throw refuse(where, "its inputs are not understood", node);
  return node.map((each: unknown) => {
    const [, , , options] = Array.isArray(each) ? each : [];
    assertNoArguments(options, where, harmless);
    return historyName(each, where);
  });
}

/**
 * Name of the one layer in `input_layers` or `output_layers`: `["image", 0, 0]`, or in a list of one.
 * @throws {FormatError} there are several.
 */
export function onlyLayer(value: unknown, where: string): string {
  const single = Array.isArray(value) && Array.isArray(value[0]) && value.length === 1 ? value[0] : value;
  if (Array.isArray(single) && typeof single[0] === "string") return historyName(single, where);
  throw refuse(where, "only networks with one input and one output are supported", value, "one layer");
}

function tensorsIn(value: unknown, where: string): string[] {
  if (Array.isArray(value)) return value.flatMap((each) => tensorsIn(each, where));
  if (isObject(value) && value.class_name === "__keras_tensor__" && isObject(value.config)) {
    return [historyName(value.config.keras_history, where)];
  }
  throw refuse(where, "an argument of its call is no output of a layer", value);
}

/** `[layer, use of the layer, output of the layer]`; the first use of a model that is a layer is 1, its own is 0. */
function historyName(history: unknown, where: string): string {
  const [name, use, output] = Array.isArray(history) ? history : [];
  if (typeof name === "string" && (use === 0 || use === 1) && output === 0) return name;
  throw refuse(where, "its inputs are not understood", history, "[name, 0, 0]");
}

/** `training: true` for example keeps a dropout on for ever. */
function assertNoArguments(given: unknown, where: string, harmless: readonly string[]): void {
  if (given === undefined || given === null) return;
  for (const [name, value] of Object.entries(given)) {
    if (value === null || (name === "training" && value === false) || harmless.includes(name)) continue;
    throw refuse(where, `it is called with the argument "${name}"`, value, "the layer as it is");
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(where: string, what: string, received: unknown, expected?: string): FormatError {
  return new FormatError({ where, what, received, ...(expected !== undefined && { expected }) });
}
