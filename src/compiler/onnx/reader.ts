import { FormatError, messageOf } from "../../base/errors.ts";
import { decodeMessage } from "../../base/protobuf.ts";
import { WireReader } from "../../base/wire.ts";
import { fromHalf } from "../../tensor/half.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { floatTensor, type LazyTensor } from "../../tensor/tensor.ts";
import { attributeTypeNumbers, elementTypeNumbers, halfSuffix, modelProto } from "./schema.ts";

/** The parts of an `.onnx` file that this package reads. */
export interface OnnxContent {
  /** `metadata_props`. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Names of the graph's inputs and outputs. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Axes of inputs and outputs by name, as far as the file specifies them; a string names an axis of any size. */
  readonly shapes: ReadonlyMap<string, readonly (number | string)[]>;
  /** ONNX's numbers for the element types of inputs and outputs, by name, if the file specifies them. */
  readonly elementTypes: ReadonlyMap<string, number>;
  /** In topological order, as in the file. */
  readonly nodes: readonly OnnxNode[];
  /**
   * Stored floats by name, in the file's layout: float32; integers under the name of the floats that they stand for
   * (DequantizeLinear); and float16, which is listed under the name of its cast if
   * written by this package. Tensors of other types are omitted.
   */
  readonly tensors: ReadonlyMap<string, LazyTensor>;
  /** Initializers with external data; they are not among the tensors. */
  readonly external: readonly ExternalTensor[];
}

/** Location of a tensor's data: `location`, `offset` and `length`, as far as the file specifies them. */
export interface ExternalTensor {
  readonly name: string;
  readonly place: ReadonlyMap<string, string>;
}

/** A node of a graph, with the attributes that concern weights. */
export interface OnnxNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Integer attributes. */
  readonly integers: ReadonlyMap<string, number>;
  /** Float attributes. */
  readonly floats: ReadonlyMap<string, number>;
  /** Attributes that are lists of integers. */
  readonly lists: ReadonlyMap<string, readonly number[]>;
}

/** The fields of the schema that are read; absent when not in the file. */
interface OnnxFile {
  readonly graph?: {
    readonly node?: readonly StoredNode[];
    readonly initializer?: readonly StoredTensor[];
    readonly input?: readonly StoredValue[];
    readonly output?: readonly StoredValue[];
  };
  readonly metadata_props?: readonly { readonly key?: string; readonly value?: string }[];
}

interface StoredValue {
  readonly name?: string;
  readonly type?: {
    readonly tensor_type?: {
      readonly elem_type?: number;
      readonly shape?: { readonly dim?: readonly { readonly dim_value?: number; readonly dim_param?: string }[] };
    };
  };
}

interface StoredNode {
  readonly op_type?: string;
  readonly input?: readonly string[];
  readonly output?: readonly string[];
  readonly attribute?: readonly StoredAttribute[];
}

interface StoredAttribute {
  readonly name?: string;
  readonly f?: number;
  readonly i?: number;
  readonly ints?: readonly number[];
  readonly t?: StoredTensor;
  readonly type?: number;
}

interface StoredTensor {
  readonly name?: string;
  readonly dims?: readonly number[];
  readonly data_type?: number;
  readonly raw_data?: Uint8Array;
  /** Alternative to `raw_data`, used by some writers. */
  readonly float_data?: readonly number[];
  readonly external_data?: readonly { readonly key?: string; readonly value?: string }[];
  readonly data_location?: number;
}

/**
 * Reads the graph, the metadata and the tensors of an `.onnx` file.
 * @param where name of the file in errors, e.g. `model "run/model.onnx"`.
 * @throws {FormatError} the bytes are not ONNX or are truncated, or a tensor's data does not match its shape.
 */
export function readOnnx(bytes: Uint8Array, where: string): OnnxContent {
  const file = parse(bytes, where);
  const { node = [], initializer = [], input = [], output = [] } = file.graph ?? {};
  if (node.length === 0) {
    throw new FormatError({ where, what: "this is not an ONNX file: it has no graph" });
  }
  const nodes = node.map(readNode);
  const stored = [...initializer, ...node.flatMap(constantIn)];
  const floats = new Map(stored.flatMap((tensor) => readTensor(tensor, where)));
  return {
    metadata: new Map((file.metadata_props ?? []).map(({ key = "", value = "" }) => [key, value])),
    inputs: input.map(({ name = "" }) => name),
    outputs: output.map(({ name = "" }) => name),
    shapes: new Map([...input, ...output].flatMap(shapeOf)),
    elementTypes: new Map([...input, ...output].flatMap(elementTypeOf)),
    nodes,
    tensors: new Map([...floats, ...dequantized(nodes, stored, floats, where)]),
    external: initializer.filter(isExternal).map(({ name = "", external_data: entries = [] }) => ({
      name,
      place: new Map(entries.map(({ key = "", value = "" }) => [key, value])),
    })),
  };
}

function isExternal({ data_location: location }: StoredTensor): boolean {
  return location === 1;
}

/** Returns the tensor of a Constant node. */
function constantIn({ op_type, output: [name] = [], attribute = [] }: StoredNode): readonly StoredTensor[] {
  const tensor = op_type === "Constant" ? attribute.find((each) => each.name === "value")?.t : undefined;
  return tensor === undefined || name === undefined ? [] : [{ ...tensor, name }];
}

function parse(bytes: Uint8Array, where: string): OnnxFile {
  if (bytes.length === 0) throw new FormatError({ where, what: "the file is empty", expected: "an ONNX file" });
  if (countNodes(bytes) > mostNodes) {
    throw new FormatError({ where, what: "its graph is too large", expected: `at most ${mostNodes} nodes` });
  }
  const reader = new WireReader(bytes);
  try {
    return decodeMessage(modelProto, reader) as OnnxFile;
  } catch (cause) {
    // Whatever the decoder throws, malformed bytes are the only possible reason.
    const reason = messageOf(cause);
    throw new FormatError({
      where: `${where}, byte ${reader.position}`,
      what: `its ${bytes.length} bytes are not an ONNX file, or it is damaged or truncated (${reason})`,
      remedy: "Copy or download it again.",
      cause,
    });
  }
}

/** Most nodes of a graph: large ones take the engine, and this reader, gigabytes and minutes. */
const mostNodes = 100_000;

/** Counts the nodes, fields 1 of field 7, without decoding them; up to the first damage, which the decoder reports. */
function countNodes(bytes: Uint8Array): number {
  const reader = new WireReader(bytes);
  let nodes = 0;
  try {
    for (let end = 0; reader.position < reader.end; ) {
      const tag = reader.uint32();
      if (reader.position >= end && tag === 0x3a) {
        end = reader.uint32() + reader.position;
        continue;
      }
      if (reader.position < end && tag === 0x0a) nodes++;
      reader.skip(tag & 7);
    }
  } catch {}
  return nodes;
}

function shapeOf({ name = "", type }: StoredValue): [name: string, shape: (number | string)[]][] {
  const axes = type?.tensor_type?.shape?.dim;
  return axes ? [[name, axes.map(({ dim_value: size, dim_param: any = "?" }) => size ?? any)]] : [];
}

function elementTypeOf({ name = "", type }: StoredValue): [name: string, type: number][] {
  const elementType = type?.tensor_type?.elem_type;
  return elementType === undefined ? [] : [[name, elementType]];
}

function readNode({ op_type: operator = "", input = [], output = [], attribute = [] }: StoredNode): OnnxNode {
  const valued = <T>(pick: (each: StoredAttribute) => T | undefined): ReadonlyMap<string, T> => {
    return new Map(
      attribute.flatMap((each): [string, T][] => {
        const value = pick(each);
        return value === undefined ? [] : [[each.name ?? "", value]];
      }),
    );
  };
  // Writers may leave out a 0.
  const integer = ({ i, type }: StoredAttribute) => i ?? (type === attributeTypeNumbers.i ? 0 : undefined);
  const [integers, floats, lists] = [valued(integer), valued(({ f }) => f), valued(({ ints }) => ints)];
  return { operator, inputs: input, outputs: output, integers, floats, lists };
}

/** Name and values of a tensor of floats. */
function readTensor(tensor: StoredTensor, where: string): [name: string, tensor: LazyTensor][] {
  const { name = "", dims = [], data_type, float_data: numbers } = tensor;
  if (isExternal(tensor)) return [];
  const stored = (meant: string, data: () => Float32Array): [string, LazyTensor][] => {
    return [[meant, { shape: dims, read: () => floatTensor(dims, data()) }]];
  };
  if (data_type === elementTypeNumbers.float32 && numbers?.length === sizeOf(dims)) {
    return stored(name, () => Float32Array.from(numbers));
  }
  // Copied, since the bytes may be misaligned for a Float32Array; not with `slice`, which returns a view of a `Buffer`.
  if (data_type === elementTypeNumbers.float32) {
    const raw = rawData(tensor, 4, where);
    return stored(name, () => new Float32Array(new Uint8Array(raw).buffer));
  }
  if (data_type === elementTypeNumbers.float16) {
    const raw = rawData(tensor, 2, where);
    const meant = name.endsWith(halfSuffix) ? name.slice(0, -halfSuffix.length) : name;
    return stored(meant, () => fromHalf(new Uint16Array(new Uint8Array(raw).buffer)));
  }
  return [];
}

/** Weights that are stored as integers, under the names of the floats that they stand for. */
function dequantized(
  nodes: readonly OnnxNode[],
  stored: readonly StoredTensor[],
  floats: ReadonlyMap<string, LazyTensor>,
  where: string,
): readonly (readonly [name: string, tensor: LazyTensor])[] {
  const integers = new Map(stored.flatMap((tensor) => readIntegers(tensor, where)));
  return nodes.flatMap(
    ({ operator, inputs: [name = "", scaleName = "", zeroName = ""], outputs: [output], ...node }) => {
      const [tensor, scale, zero] = [integers.get(name), floats.get(scaleName), integers.get(zeroName)];
      if (operator !== "DequantizeLinear" || !tensor || !scale || output === undefined) return [];
      const { shape } = tensor;
      const axis = node.integers.get("axis") ?? 1;
      const isPerAxis = sizeOf(scale.shape) > 1;
      const fits = [scale, zero].every((each) => !each || sizeOf(each.shape) === (isPerAxis ? shape[axis] : 1));
      if (!fits) {
        throw new FormatError({
          where: `${where}, tensor "${name}"`,
          what: `its scales do not fit axis ${axis}`,
          received: `${sizeOf(scale.shape)} scales for the shape [${shape.join(", ")}]`,
          expected: "one scale, or one for each index",
        });
      }
      const inner = isPerAxis ? sizeOf(shape.slice(axis + 1)) : sizeOf(shape);
      const count = isPerAxis ? shape[axis]! : 1;
      const read = () => {
        const [values, scales, zeros] = [tensor.read(), scale.read().data, zero?.read()];
        const expanded = new Float32Array(values.length);
        for (let start = 0; start < values.length; start += inner) {
          const place = (start / inner) % count;
          const [step, zeroPoint] = [scales[place]!, zeros?.[place] ?? 0];
          for (let at = start; at < start + inner; at++) expanded[at] = (values[at]! - zeroPoint) * step;
        }
        return floatTensor(shape, expanded);
      };
      return [[output, { shape, read }] as const];
    },
  );
}

const integerArrays: Readonly<Record<number, Int8ArrayConstructor | Uint8ArrayConstructor | Int32ArrayConstructor>> = {
  [elementTypeNumbers.int8]: Int8Array,
  [elementTypeNumbers.uint8]: Uint8Array,
  [elementTypeNumbers.int32]: Int32Array,
};

function readIntegers(
  tensor: StoredTensor,
  where: string,
): [name: string, integers: LazyTensor<Int8Array | Uint8Array | Int32Array>][] {
  const { name = "", dims = [], data_type = 0, raw_data } = tensor;
  const IntegerArray = integerArrays[data_type];
  if (IntegerArray === undefined || raw_data === undefined || isExternal(tensor)) return [];
  const raw = rawData(tensor, IntegerArray.BYTES_PER_ELEMENT, where);
  return [[name, { shape: dims, read: () => new IntegerArray(new Uint8Array(raw).buffer) }]];
}

function rawData({ name, dims = [], raw_data: raw = new Uint8Array() }: StoredTensor, size: number, where: string) {
  if (dims.every((each) => each >= 0) && raw.length === sizeOf(dims) * size) return raw;
  throw new FormatError({
    where: `${where}, tensor "${name ?? ""}"`,
    what: "the stored data do not fill its shape",
    received: `${raw.length} bytes for the shape [${dims.join(", ")}]`,
    expected: `${size} bytes of raw data for each number`,
    remedy: "The file is damaged or cut short: copy or download it again.",
  });
}
