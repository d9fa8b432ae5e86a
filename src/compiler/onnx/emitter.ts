import { encodeMessage } from "../../base/protobuf-writer.ts";
import type { Value } from "../../graph/ops.ts";
import { toHalf } from "../../tensor/half.ts";
import type { Shape } from "../../tensor/shape.ts";
import { floatTensor, type Tensor } from "../../tensor/tensor.ts";
import { integerNames } from "../quantize/weights.ts";
import { attributeTypeNumbers, elementTypeNumbers, halfSuffix, modelProto } from "./schema.ts";

/** One attribute of an ONNX node, under the name of its field in the schema. */
export type Attribute =
  | { readonly i: number }
  | { readonly f: number }
  | { readonly s: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] };

export type Attributes = Readonly<Record<string, Attribute>>;

/** Names of operator sets: ONNX's own, the engine's additions, and its operators on channel blocks. */
export const domains = { onnx: "", microsoft: "com.microsoft", blocked: "com.microsoft.nchwc" } as const;
export type Domain = (typeof domains)[keyof typeof domains];

/** Collects the nodes and stored tensors of one ONNX graph. */
export class OnnxEmitter {
  readonly nodes: object[] = [];
  readonly initializers: object[] = [];
  readonly usedDomains = new Set<string>([domains.onnx]);
  /** Names of stored integers and scalars, so that equal ones are stored once. */
  readonly #stored = new Map<string, string>();
  readonly #taken = new Set<string>();

  /** Returns a name that is unique in this graph. */
  unusedName(hint: string): string {
    let name = hint;
    for (let count = 1; this.#taken.has(name); count++) name = `${hint}~${count}`;
    this.#taken.add(name);
    return name;
  }

  reserve(name: string): string {
    this.#taken.add(name);
    return name;
  }

  /** Writes a node; `""` stands for an omitted optional input. */
  node(
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Attributes = {},
    domain: Domain = domains.onnx,
  ): void {
    this.usedDomains.add(domain);
    this.nodes.push({
      op_type: operator,
      name: `${operator}:${outputs[0]}`,
      input: inputs,
      output: outputs,
      attribute: Object.entries(attributes).map(([name, attribute]) => encodeAttribute(name, attribute)),
      domain,
    });
  }

  /** Writes a node with a single output and returns its name, made from `hint`. */
  compute(
    hint: string,
    operator: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    domain: Domain = domains.onnx,
  ): string {
    const output = this.unusedName(hint);
    this.node(operator, inputs, [output], attributes, domain);
    return output;
  }

  /** Returns a function that writes a step in the computation of a value, as {@link compute} does. */
  steps(of: string): (hint: string, operator: string, ...inputs: string[]) => string {
    return (hint, operator, ...inputs) => this.compute(`${of}/${hint}`, operator, inputs);
  }

  /** Views a value in another shape; the engine does not copy. */
  reshape(name: string, shape: Shape): string {
    return this.compute(`${name}~view`, "Reshape", [name, this.integers(shape)]);
  }

  /** Stores a list of integers (shapes, axes, indices), once for each content. */
  integers(values: readonly number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    return this.#once(`integers(${values})`, (name) =>
      this.#store(name, [values.length], elementTypeNumbers.int64, data),
    );
  }

  /** Stores the bounds of a `Slice`: its inputs after the first. */
  bounds(starts: readonly number[], ends: readonly number[], axes: readonly number[]): readonly string[] {
    return [starts, ends, axes].map((each) => this.integers(each));
  }

  /** Stores bytes. */
  bytes(shape: Shape, values: readonly number[]): string {
    const name = this.unusedName(`bytes(${values})`);
    this.#store(name, shape, elementTypeNumbers.uint8, Uint8Array.from(values));
    return name;
  }

  /** Stores one byte as a scalar, once for each value. */
  byte(value: number): string {
    return this.#once(`byte(${value})`, (name) =>
      this.#store(name, [], elementTypeNumbers.uint8, Uint8Array.of(value)),
    );
  }

  /** Stores one number as a scalar, once for each value. */
  scalar(value: number): string {
    return this.#once(`scalar(${value})`, (name) => this.floats(name, [], Float32Array.of(value)));
  }

  /** Stores floats under a name. */
  floats(name: string, shape: Shape, data: Float32Array): void {
    this.tensor(name, floatTensor(shape, data));
  }

  /** Stores a tensor under a name. */
  tensor(name: string, { type, shape, data }: Tensor): void {
    this.#store(name, shape, elementTypeNumbers[type], data);
  }

  /** Stores a tensor as float16, from which the engine makes float32 when it loads the file. */
  halves(name: string, shape: Shape, data: Float32Array): void {
    const stored = this.unusedName(`${name}${halfSuffix}`);
    this.#store(stored, shape, elementTypeNumbers.float16, toHalf(data));
    this.node("Cast", [stored], [name], { to: { i: elementTypeNumbers.float32 } });
  }

  /** Stores a kernel as integers, from which an engine makes float32: one scale for each index of an axis. */
  roundedKernel(name: string, integers: Tensor, scale: Tensor, axis: 0 | 1): void {
    const names = integerNames(name, "int8");
    this.tensor(names.integers, integers);
    this.tensor(names.scale, scale);
    this.node("DequantizeLinear", [names.integers, names.scale], [name], { axis: { i: axis } });
  }

  #once(hint: string, store: (name: string) => void): string {
    const known = this.#stored.get(hint);
    if (known !== undefined) return known;
    const name = this.unusedName(hint);
    this.#stored.set(hint, name);
    store(name);
    return name;
  }

  #store(name: string, shape: Shape, type: number, data: ArrayBufferView): void {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.initializers.push({ name, dims: shape, data_type: type, raw_data: bytes });
  }
}

function encodeAttribute(name: string, attribute: Attribute): object {
  const [field, content] = Object.entries(attribute)[0] as [keyof typeof attributeTypeNumbers, unknown];
  const encoded = field === "s" ? new TextEncoder().encode(content as string) : content;
  return { name, [field]: encoded, type: attributeTypeNumbers[field] };
}

/**
 * Encodes the graph that an emitter has collected as an `.onnx` file.
 * @param parts `openAxes`: names of the first axes, if open, of inputs and outputs.
 */
export function encodeOnnx(
  emit: OnnxEmitter,
  parts: {
    readonly name: string;
    readonly inputs: readonly Value[];
    readonly outputs: readonly Value[];
    readonly openAxes?: ReadonlyMap<string, readonly string[]>;
    readonly metadata?: Readonly<Record<string, string>>;
  },
): Uint8Array {
  const { name, inputs, outputs, openAxes, metadata = {} } = parts;
  const describe = ({ name, type, shape }: Value) => {
    const open = openAxes?.get(name) ?? [];
    const dim = shape.map((size, axis) => (axis < open.length ? { dim_param: open[axis] } : { dim_value: size }));
    return { name, type: { tensor_type: { elem_type: elementTypeNumbers[type], shape: { dim } } } };
  };
  return encodeMessage(modelProto, {
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
  });
}
