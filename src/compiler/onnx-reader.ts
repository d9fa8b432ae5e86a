import { FormatError } from "../errors.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";
import { elementTypeNumbers, ModelProto } from "./onnx-schema.ts";

/** What this package reads of an `.onnx` file. */
export interface OnnxContent {
  /** `metadata_props`. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Names of what the graph is fed, and of what it computes. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The float32 tensors stored in it, by name, in the file's layout; tensors of other types are left out. */
  readonly tensors: ReadonlyMap<string, FloatTensor>;
}

/** The fields of the schema that are read, as protobufjs's `toObject` gives them: absent when not in the file. */
interface OnnxFile {
  readonly graph?: {
    readonly node?: readonly object[];
    readonly initializer?: readonly StoredTensor[];
    readonly input?: readonly { readonly name?: string }[];
    readonly output?: readonly { readonly name?: string }[];
  };
  readonly metadata_props?: readonly { readonly key?: string; readonly value?: string }[];
}

interface StoredTensor {
  readonly name?: string;
  readonly dims?: readonly number[];
  readonly data_type?: number;
  readonly raw_data?: Uint8Array;
}

/**
 * Reads what an `.onnx` file says of itself, and the tensors stored in it.
 * @param where what errors call the file, e.g. `model "run/model.onnx"`.
 * @throws {FormatError} these bytes are no ONNX, they are cut short, or a tensor is not stored as its shape says.
 */
export function readOnnx(bytes: Uint8Array, where: string): OnnxContent {
  const file = parse(bytes, where);
  const { node = [], initializer = [], input = [], output = [] } = file.graph ?? {};
  if (node.length === 0) {
    throw new FormatError({ where, what: "this is no ONNX file: there is no graph in it" });
  }
  const stored = initializer.filter(({ data_type }) => data_type === elementTypeNumbers.float32);
  return {
    metadata: new Map((file.metadata_props ?? []).map(({ key = "", value = "" }) => [key, value])),
    inputs: input.map(({ name = "" }) => name),
    outputs: output.map(({ name = "" }) => name),
    tensors: new Map(stored.map((tensor) => [tensor.name ?? "", readTensor(tensor, where)])),
  };
}

function parse(bytes: Uint8Array, where: string): OnnxFile {
  if (bytes.length === 0) throw new FormatError({ where, what: "the file is empty", expected: "an ONNX file" });
  try {
    return ModelProto.toObject(ModelProto.decode(bytes), { longs: Number }) as OnnxFile;
  } catch (cause) {
    // protobufjs names the offset; whatever it throws, malformed bytes are the only possible reason.
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError({
      where,
      what: `its ${bytes.length} bytes are no ONNX file, or one that is damaged or cut short (${reason})`,
      remedy: "Copy or download it again.",
      cause,
    });
  }
}

function readTensor({ name = "", dims = [], raw_data: raw = new Uint8Array() }: StoredTensor, where: string) {
  const count = dims.reduce((product, size) => product * size, 1);
  if (dims.some((size) => !(size >= 0)) || raw.length !== count * Float32Array.BYTES_PER_ELEMENT) {
    throw new FormatError({
      where: `${where}, tensor "${name}"`,
      what: "the stored data do not fill its shape",
      received: `${raw.length} bytes for the shape [${dims.join(", ")}]`,
      expected: "4 bytes of raw data for each number",
      remedy: "The file is damaged or cut short: copy or download it again.",
    });
  }
  // Copied, since the bytes need not lie where a Float32Array may begin; not by `slice`, which on a `Buffer` is a view.
  return floatTensor(dims, new Float32Array(new Uint8Array(raw).buffer));
}
