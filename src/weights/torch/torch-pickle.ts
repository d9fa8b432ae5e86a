import type { NumberFormat } from "../number-formats.ts";
import type { PickleHandlers, PickleValue, Refuse } from "./pickle.ts";
import { TorchStorage, TorchTensor } from "./torch-tensor.ts";

/** What a class or function that a pickle names stands for here. */
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
  // The flags of the command line beside the weights of a training run: let in, and left alone.
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
 * What may stand in a pickle of PyTorch's weights: tensors, parameters, dictionaries. Anything else is refused by its name;
 * a pickle could name any function of the reader's machine.
 * @param storages gets each storage that the pickle refers to, by its key.
 */
export function torchHandlers(storages: Map<string, TorchStorage>): PickleHandlers {
  return { global: meaningOf, call, persistent: (id, refuse) => storageOf(id, storages, refuse) };
}

function meaningOf(module: string, name: string, refuse: Refuse): Global {
  const full = `${module}.${name}`;
  const meaning = meanings.get(full);
  if (meaning) return new Global(full, meaning);
  return refuse(
    "it names a class or function that weights do not need, and that is not let in",
    full,
    "Save the weights alone: torch.save(model.state_dict(), path), or safetensors.",
  );
}

function call(callable: PickleValue, values: readonly PickleValue[], refuse: Refuse): PickleValue {
  if (!(callable instanceof Global)) return refuse("it calls what is no function");
  switch (callable.meaning.kind) {
    case "tensor":
      return rebuiltTensor(values, refuse);
    case "parameter":
      return values[0] instanceof TorchTensor ? values[0] : refuse("a parameter is no tensor");
    case "tensor with attributes": {
      const [inner, , innerValues] = values;
      const fits = inner instanceof Global && inner.meaning.kind === "tensor" && Array.isArray(innerValues);
      return fits ? rebuiltTensor(innerValues, refuse) : refuse("a tensor with attributes is no tensor");
    }
    case "dictionary":
      return values.length === 0 ? new Map() : refuse("a dictionary comes with arguments");
    case "size":
      return Array.isArray(values[0]) ? values[0] : refuse("a size is no list");
    case "ignored":
      return callable;
    default:
      return refuse("it calls a type of storage", callable.name);
  }
}

function storageOf(id: PickleValue, storages: Map<string, TorchStorage>, refuse: Refuse): TorchStorage {
  const [tag, type, key, , count] = Array.isArray(id) ? id : [];
  if (tag !== "storage" || !(type instanceof Global) || type.meaning.kind !== "storage type") {
    return refuse("it refers to something outside that is no storage");
  }
  if (typeof key !== "string" || !isCount(count)) return refuse("a storage has no key or no size");
  if (Array.isArray(id) && id[5] !== undefined && id[5] !== null) {
    return refuse("a storage is a view of another one, as PyTorch wrote them before version 0.4");
  }
  const known = storages.get(key);
  if (known && (known.format !== type.meaning.format || known.count !== count)) {
    return refuse("a storage is there twice, as different ones", key);
  }
  const storage = known ?? new TorchStorage(type.meaning.format, key, count);
  storages.set(key, storage);
  return storage;
}

function rebuiltTensor(values: readonly PickleValue[], refuse: Refuse): TorchTensor {
  const [storage, offset, shape, strides] = values;
  if (!(storage instanceof TorchStorage)) return refuse("a tensor has no storage");
  if (!isCount(offset) || !isShape(shape) || !isShape(strides) || strides.length !== shape.length) {
    return refuse("a tensor has no offset, shape or strides that make sense");
  }
  const tensor = new TorchTensor(storage, offset, [...shape], [...strides]);
  if (tensor.isInside) return tensor;
  return refuse("a tensor reaches beyond its storage", `[${shape.join(", ")}] in ${storage.count} numbers`);
}

function isCount(value: PickleValue): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isShape(value: PickleValue): value is readonly number[] {
  return Array.isArray(value) && value.length <= 32 && value.every(isCount);
}
