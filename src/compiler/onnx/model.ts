import type { Value } from "../../graph/ops.ts";
import { domains, type OnnxEmitter, valueInfo } from "./emitter.ts";
import { ModelProto } from "./schema.ts";

export interface ModelParts {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** For inputs and outputs whose first axes stay open: the axes' names. */
  readonly openAxes?: ReadonlyMap<string, readonly string[]>;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The bytes of an `.onnx` file around what an emitter has collected. */
export function encodeModel(emit: OnnxEmitter, parts: ModelParts): Uint8Array {
  const { name, inputs, outputs, openAxes = new Map(), metadata = {} } = parts;
  const describe = (value: Value) => valueInfo(value, openAxes.get(value.name) ?? []);
  const bytes = ModelProto.encode({
    ir_version: 9,
    producer_name: "xception-ts",
    opset_import: [...emit.usedDomains].map((domain) => ({ domain, version: domain === domains.onnx ? 18 : 1 })),
    metadata_props: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name,
      node: emit.nodes,
      initializer: emit.initializers,
      input: inputs.map(describe),
      output: outputs.map(describe),
    },
  }).finish();
  // In Node a `Buffer`, which has methods of the same names that behave differently: a plain view of it.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
