import { type Shape, sizeOf, stridesOf } from "../../tensor/shape.ts";
import { bytesPerNumber, type EncodedTensor, type NumberFormat } from "../number-formats.ts";
import type { PickleHandlers, PickleValue, Refuse } from "./pickle.ts";

/** The meaning of a class or function in a pickle. */
type Meaning =
  | { readonly kind: "storage type"; readonly format: NumberFormat }
  | { readonly kind: "tensor" | "parameter" | "tensor with attributes" | "dictionary" | "size" | "ignored" };

const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ...Object.entries({
    FloatStorage: "F32",
    DoubleStorage: "F64",
    HalfStorage: "F16",
    BFloat16Storage: "BF16",
    LongStorage: "I64",
    IntStorage: "I32",
    ShortStorage: "I16",
    CharStorage: "I8",
    ByteStorage: "U8",
    BoolStorage: "BOOL",
  } as const).map(([name, format]) => [`torch.${name}`, { kind: "storage type", format }] as const),
  ["torch._utils._rebuild_tensor_v2", { kind: "tensor" }],
  ["torch._utils._rebuild_tensor", { kind: "tensor" }],
  ["torch._utils._rebuild_parameter", { kind: "parameter" }],
  ["torch._tensor._rebuild_from_type_v2", { kind: "tensor with attributes" }],
  ["torch.Tensor", { kind: "ignored" }],
  ["torch.nn.parameter.Parameter", { kind: "ignored" }],
  ["torch.Size", { kind: "size" }],
  ["collections.OrderedDict", { kind: "dictionary" }],
  // The command-line arguments of the training run, beside the weights.
  ["argparse.Namespace", { kind: "ignored" }],
]);

class Global {
  readonly meaning: Meaning;
  readonly name: string;

  constructor(name: string, meaning: Meaning) {
    this.name = name;
    this.meaning = meaning;
  }
}

/**
 * Handlers for pickles of PyTorch weights: tensors, parameters, dictionaries. Everything else is an error, since a pickle
 * can name any function on the reader's machine.
 * @param storages receives each storage that the pickle refers to, by key.
 */
export function torchHandlers(storages: Map<string, TorchStorage>): PickleHandlers {
  return { global: meaningOf, call, persistent: (id, refuse) => storageOf(id, storages, refuse) };
}

function meaningOf(module: string, name: string, refuse: Refuse): Global {
  const full = `${module}.${name}`;
  const meaning = meanings.get(full);
  if (meaning) return new Global(full, meaning);
  return refuse(
    "disallowed class or function",
    full,
    "Save only the weights: torch.save(model.state_dict(), path), or safetensors.",
  );
}

function call(callable: PickleValue, values: readonly PickleValue[], refuse: Refuse): PickleValue {
  if (!(callable instanceof Global)) return refuse("it calls something that is not a function");
  switch (callable.meaning.kind) {
    case "tensor":
      return rebuiltTensor(values, refuse);
    case "parameter":
      return values[0] instanceof TorchTensor ? values[0] : refuse("a parameter is not a tensor");
    case "tensor with attributes": {
      const [inner, , innerValues] = values;
      const fits = inner instanceof Global && inner.meaning.kind === "tensor" && Array.isArray(innerValues);
      return fits ? rebuiltTensor(innerValues, refuse) : refuse("a tensor with attributes is not a tensor");
    }
    case "dictionary":
      return values.length === 0 ? new Map() : refuse("a dictionary has arguments");
    case "size":
      return Array.isArray(values[0]) ? values[0] : refuse("a size is not a list");
    case "ignored":
      return callable;
    default:
      return refuse("it calls a storage type", callable.name);
  }
}

function storageOf(id: PickleValue, storages: Map<string, TorchStorage>, refuse: Refuse): TorchStorage {
  const [tag, type, key, , count] = Array.isArray(id) ? id : [];
  if (tag !== "storage" || !(type instanceof Global) || type.meaning.kind !== "storage type") {
    return refuse("it refers to external data that is not a storage");
  }
  if (typeof key !== "string" || !isCount(count)) return refuse("a storage has no key or no size");
  if (Array.isArray(id) && id[5] !== undefined && id[5] !== null) {
    return refuse("a storage is a view of another one, as in PyTorch before 0.4");
  }
  const known = storages.get(key);
  if (known && (known.format !== type.meaning.format || known.count !== count)) {
    return refuse("two storages have the same key", key);
  }
  const storage = known ?? new TorchStorage(type.meaning.format, key, count);
  storages.set(key, storage);
  return storage;
}

function rebuiltTensor(values: readonly PickleValue[], refuse: Refuse): TorchTensor {
  const [storage, offset, shape, strides] = values;
  if (!(storage instanceof TorchStorage)) return refuse("a tensor has no storage");
  if (!isCount(offset) || !isShape(shape) || !isShape(strides) || strides.length !== shape.length) {
    return refuse("a tensor has an invalid offset, shape or strides");
  }
  const tensor = new TorchTensor(storage, offset, [...shape], [...strides]);
  if (tensor.isInside) return tensor;
  return refuse("a tensor extends beyond its storage", `[${shape.join(", ")}] in ${storage.count} numbers`);
}

function isCount(value: PickleValue): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isShape(value: PickleValue): value is readonly number[] {
  return Array.isArray(value) && value.length <= 32 && value.every(isCount);
}

/** Numbers in a PyTorch file; several tensors may share them. */
export class TorchStorage {
  readonly format: NumberFormat;
  /** Its name in the file. */
  readonly key: string;
  /** Number of elements. */
  readonly count: number;

  constructor(format: NumberFormat, key: string, count: number) {
    this.format = format;
    this.key = key;
    this.count = count;
  }
}

/** A tensor of PyTorch: a view of a storage. */
export class TorchTensor {
  readonly storage: TorchStorage;
  /** Index of its first element in the storage. */
  readonly offset: number;
  readonly shape: Shape;
  /** In elements, one for each axis. */
  readonly strides: Shape;

  constructor(storage: TorchStorage, offset: number, shape: Shape, strides: Shape) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }

  /** True if all its elements are in the storage. */
  get isInside(): boolean {
    if (sizeOf(this.shape) === 0) return true;
    const last = this.shape.reduce((sum, size, axis) => sum + (size - 1) * this.strides[axis]!, this.offset);
    return last < this.storage.count;
  }

  /**
   * Its elements in C order: a view of the storage if they are stored in this order, else a copy.
   * @param stored bytes of the storage, little-endian.
   */
  encoded(stored: Uint8Array): EncodedTensor {
    const { format } = this.storage;
    const size = bytesPerNumber(format);
    const { shape, strides, offset } = this;
    const inOrder = stridesOf(shape);
    if (shape.every((length, axis) => length === 1 || strides[axis] === inOrder[axis])) {
      return { format, shape, bytes: stored.subarray(offset * size, (offset + sizeOf(shape)) * size) };
    }
    const bytes = new Uint8Array(sizeOf(shape) * size);
    const index = new Array<number>(shape.length).fill(0);
    let source = offset;
    for (let target = 0; target < bytes.length; target += size) {
      for (let byte = 0; byte < size; byte++) bytes[target + byte] = stored[source * size + byte]!;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        source += strides[axis]!;
        index[axis]!++;
        if (index[axis]! < shape[axis]!) break;
        source -= strides[axis]! * shape[axis]!;
        index[axis] = 0;
      }
    }
    return { format, shape, bytes };
  }
}

/** Swaps the byte order of each number. */
export function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const result = bytes.slice();
  for (let begin = 0; begin + size <= result.length; begin += size) result.subarray(begin, begin + size).reverse();
  return result;
}
