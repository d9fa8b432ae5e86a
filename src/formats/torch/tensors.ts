import { type Shape, sizeOf, stridesOf } from "../../tensor/shape.ts";
import { bytesPerNumber, type EncodedTensor, type NumberFormat } from "../number-formats.ts";
import { fail, type PickleHandlers, type PickleValue } from "./pickle.ts";

/** The meaning of a class or function in a pickle. */
type Meaning = NumberFormat | "tensor" | "parameter" | "tensor with attributes" | "dictionary" | "size" | "ignored";

const storageTypes: ReadonlyMap<string, NumberFormat> = new Map([
  ["torch.FloatStorage", "F32"],
  ["torch.DoubleStorage", "F64"],
  ["torch.HalfStorage", "F16"],
  ["torch.BFloat16Storage", "BF16"],
  ["torch.LongStorage", "I64"],
  ["torch.IntStorage", "I32"],
  ["torch.ShortStorage", "I16"],
  ["torch.CharStorage", "I8"],
  ["torch.ByteStorage", "U8"],
  ["torch.BoolStorage", "BOOL"],
]);

const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ...storageTypes,
  ["torch._utils._rebuild_tensor_v2", "tensor"],
  ["torch._utils._rebuild_tensor", "tensor"],
  ["torch._utils._rebuild_parameter", "parameter"],
  ["torch._tensor._rebuild_from_type_v2", "tensor with attributes"],
  ["torch.Tensor", "ignored"],
  ["torch.nn.parameter.Parameter", "ignored"],
  ["torch.Size", "size"],
  ["collections.OrderedDict", "dictionary"],
  // The command-line arguments of the training run, beside the weights.
  ["argparse.Namespace", "ignored"],
]);

/** A class or function. Pickles cannot forge these objects: their own dictionaries are Maps. */
interface Global {
  readonly kind: "global";
  readonly name: string;
}

/** Numbers in a PyTorch file; several tensors may share them. */
export interface TorchStorage {
  readonly kind: "storage";
  readonly format: NumberFormat;
  /** Its name in the file. */
  readonly key: string;
  /** Number of elements. */
  readonly count: number;
}

/** A tensor of PyTorch: a view of a storage. */
export interface TorchTensor {
  readonly kind: "tensor";
  readonly storage: TorchStorage;
  /** Index of its first element in the storage. */
  readonly offset: number;
  readonly shape: Shape;
  /** In elements, one for each axis. */
  readonly strides: Shape;
}

type TorchObject = Global | TorchStorage | TorchTensor;

/** Returns whether a value of a pickle is an object of this kind. */
export function isTorchObject<K extends TorchObject["kind"]>(
  value: PickleValue,
  kind: K,
): value is Extract<TorchObject, { readonly kind: K }> {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === kind;
}

/**
 * Handlers for pickles of PyTorch weights: tensors, parameters, dictionaries. Everything else is an error, since a pickle
 * can name any function on the reader's machine.
 * @param storages receives each storage that the pickle refers to, by key.
 */
export function torchHandlers(storages: Map<string, TorchStorage>): PickleHandlers {
  return { global: globalOf, call, persistent: (id) => storageOf(id, storages) };
}

function globalOf(module: string, name: string): Global {
  const full = `${module}.${name}`;
  if (meanings.has(full)) return { kind: "global", name: full };
  const remedy = "Save only the weights: torch.save(model.state_dict(), path), or safetensors.";
  return fail("disallowed class or function", full, remedy);
}

function call(callable: PickleValue, values: readonly PickleValue[]): PickleValue {
  if (!isTorchObject(callable, "global")) return fail("it calls something that is not a function");
  switch (meanings.get(callable.name)) {
    case "tensor":
      return rebuiltTensor(values);
    case "parameter":
      return isTorchObject(values[0], "tensor") ? values[0] : fail("a parameter is not a tensor");
    case "tensor with attributes": {
      const [inner, , innerValues] = values;
      const fits =
        isTorchObject(inner, "global") && meanings.get(inner.name) === "tensor" && Array.isArray(innerValues);
      return fits ? rebuiltTensor(innerValues) : fail("a tensor with attributes is not a tensor");
    }
    case "dictionary":
      return values.length === 0 ? new Map() : fail("a dictionary has arguments");
    case "size":
      return Array.isArray(values[0]) ? values[0] : fail("a size is not a list");
    case "ignored":
      return callable;
    default:
      return fail("it calls a storage type", callable.name);
  }
}

function storageOf(id: PickleValue, storages: Map<string, TorchStorage>): TorchStorage {
  const [tag, type, key, , count, view] = Array.isArray(id) ? (id as PickleValue[]) : [];
  const format = isTorchObject(type, "global") ? storageTypes.get(type.name) : undefined;
  if (tag !== "storage" || format === undefined) return fail("it refers to external data that is not a storage");
  if (typeof key !== "string" || !isCount(count)) return fail("a storage has no key or no size");
  if (view !== undefined && view !== null) return fail("a storage is a view of another one, as in PyTorch before 0.4");
  const known = storages.get(key);
  if (known && (known.format !== format || known.count !== count)) return fail("two storages have the same key", key);
  const storage = known ?? { kind: "storage", format, key, count };
  storages.set(key, storage);
  return storage;
}

function rebuiltTensor([storage, offset, shape, strides]: readonly PickleValue[]): TorchTensor {
  if (!isTorchObject(storage, "storage")) return fail("a tensor has no storage");
  if (!isCount(offset) || !isShape(shape) || !isShape(strides) || strides.length !== shape.length) {
    return fail("a tensor has an invalid offset, shape or strides");
  }
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, offset);
  if (sizeOf(shape) === 0 || last < storage.count) {
    return { kind: "tensor", storage, offset, shape: [...shape], strides: [...strides] };
  }
  return fail("a tensor extends beyond its storage", `[${shape.join(", ")}] in ${storage.count} numbers`);
}

function isCount(value: PickleValue): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isShape(value: PickleValue): value is readonly number[] {
  return Array.isArray(value) && value.length <= 32 && value.every(isCount);
}

/**
 * The elements of a tensor in C order: a view of the storage if they are stored in this order, else a copy.
 * @param stored bytes of the storage, little-endian.
 */
export function encodedTensor({ storage, shape, strides, offset }: TorchTensor, stored: Uint8Array): EncodedTensor {
  const { format } = storage;
  const size = bytesPerNumber(format);
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

/** Swaps the byte order of each number. */
export function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const result = bytes.slice();
  for (let start = 0; start + size <= result.length; start += size) result.subarray(start, start + size).reverse();
  return result;
}
