import type { KerasEntry } from "./entries.ts";
import { inboundNames, isObject } from "./inbound.ts";
import type { PixelRescaling } from "./layer-rules.ts";

/** Arithmetic with one number, as `preprocess_input` of keras.applications leaves it in a model: `x / 127.5`, `x - 1.0`. */
export interface PixelScaling extends PixelRescaling {
  /** The layer whose output it is applied to. */
  readonly input: string;
}

type Meaning = (value: number) => PixelRescaling;

const divide: Meaning = (value) => ({ scale: 1 / value, offset: 0 });
const multiply: Meaning = (value) => ({ scale: value, offset: 0 });
const subtract: Meaning = (value) => ({ scale: 1, offset: -value });
const add: Meaning = (value) => ({ scale: 1, offset: value });

/** Classes of Keras 3's operations, which layers that merge have, too; and functions of TensorFlow in a `TFOpLambda`. */
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

/** What an operation makes of the output of a layer, if it joins that with one number. */
export function scalingOf({ type, functionName, where, inboundNodes }: KerasEntry): PixelScaling | undefined {
  const meaning = meanings.get(type === "TFOpLambda" ? functionName : type);
  const [node, ...others] = Array.isArray(inboundNodes) ? (inboundNodes as unknown[]) : [];
  if (meaning === undefined || others.length > 0) return undefined;
  const found = type === "TFOpLambda" ? ofTensorFlow(node) : ofKeras(node);
  // Nothing could be told apart behind an infinite scale.
  if (found === undefined || !Number.isFinite(meaning(found.value).scale)) return undefined;
  const [input] = inboundNames([found.node], where);
  return input === undefined ? undefined : { input, ...meaning(found.value) };
}

/** `["image", 0, 0, {"y": 127.5, "name": null}]` */
function ofTensorFlow(node: unknown) {
  const [name, use, output, options] = Array.isArray(node) ? node : [];
  if (!isObject(options) || typeof options.y !== "number") return undefined;
  const { y: value, ...rest } = options;
  return { value, node: [[name, use, output, rest]] };
}

/** `{"args": [tensor, 127.5], "kwargs": {}}` */
function ofKeras(node: unknown) {
  const { args, ...rest } = isObject(node) ? node : {};
  const [tensor, value, ...others] = Array.isArray(args) ? args : [];
  if (typeof value !== "number" || others.length > 0) return undefined;
  return { value, node: { ...rest, args: [tensor] } };
}
