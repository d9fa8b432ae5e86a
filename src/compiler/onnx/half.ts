import type { Value } from "../../graph/ops.ts";
import { toHalf } from "../../tensor/half.ts";
import type { OnnxEmitter } from "./emitter.ts";
import { elementTypeNumbers } from "./schema.ts";

const { float16, float32 } = elementTypeNumbers;

/**
 * Lets a graph for inference compute with half precision, as GPUs do fastest: its stored floats become float16, its float inputs
 * are cast on their way in and its float outputs on their way out. Numbers above 65504 become infinite.
 */
export function computeInHalf(emit: OnnxEmitter, inputs: readonly Value[], outputs: readonly Value[]): void {
  for (const tensor of emit.initializers as StoredTensor[]) {
    if (tensor.data_type !== float32) continue;
    const halves = toHalf(new Float32Array(tensor.raw_data.slice().buffer));
    Object.assign(tensor, { data_type: float16, raw_data: new Uint8Array(halves.buffer) });
  }
  const isFloat = ({ type }: Value) => type === "float32";
  const casts = [...inputs, ...outputs].filter(isFloat);
  const renamed = new Map(casts.map(({ name }) => [name, emit.unusedName(`${name}~half`)]));
  const now = (name: string) => renamed.get(name) ?? name;
  for (const node of emit.nodes as Node[]) {
    Object.assign(node, { input: node.input.map(now), output: node.output.map(now) });
    const to = node.op_type === "Cast" && node.attribute.find(({ name }) => name === "to");
    if (to && to.i === float32) to.i = float16;
  }
  const nodes = emit.nodes.splice(0);
  for (const { name } of inputs.filter(isFloat)) emit.node("Cast", [name], [now(name)], { to: { i: float16 } });
  emit.nodes.push(...nodes);
  for (const { name } of outputs.filter(isFloat)) emit.node("Cast", [now(name)], [name], { to: { i: float32 } });
}

interface StoredTensor {
  readonly data_type: number;
  readonly raw_data: Uint8Array;
}

interface Node {
  readonly op_type: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly { readonly name: string; i?: number }[];
}
