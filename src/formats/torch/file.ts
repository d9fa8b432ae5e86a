import { FormatError } from "../../base/errors.ts";
import { type Shape, sizeOf } from "../../tensor/shape.ts";
import { bytesPerNumber, type EncodedTensor } from "../number-formats.ts";
import { isZip, pickleName } from "../signatures.ts";
import { largestExpansion, oversizedError, readZip } from "../zip.ts";
import { type PickleValue, readPickle } from "./pickle.ts";
import { encodedTensor, isTorchObject, swapped, type TorchStorage, torchHandlers } from "./tensors.ts";

/** A tensor of a file that is read on demand. */
export interface StoredTensor {
  readonly shape: Shape;
  /** Reads the numbers. */
  readonly read: () => EncodedTensor;
}

/** Contents of a PyTorch file. */
export interface TorchFile {
  /** `zip` since PyTorch 1.6, `legacy` before. */
  readonly container: "zip" | "legacy";
  /** The `state_dict`. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Keys that lead to it in a checkpoint, outermost first; none if the file is the `state_dict` itself. */
  readonly under: readonly string[];
}

/** Keys of weights in a checkpoint; averaged ones take precedence, as in timm. */
const weightKeys = ["state_dict_ema", "model_ema", "state_dict", "model", "module"];

/** Training programs nest checkpoints up to three deep. */
const deepest = 3;

/**
 * Reads the tensors of a `.pth` or `.pt` file, without running any code in it.
 * @param where the file's name in errors.
 * @param key of the dictionary of weights in a checkpoint, names separated by `/`; default: a usual one, or the only one.
 * @throws {FormatError} it is damaged, or has no dictionary of tensors, or several.
 * @see torch/serialization.py
 */
export function readTorch(bytes: Uint8Array, where: string, key?: string): TorchFile {
  const container = isZip(bytes) ? "zip" : "legacy";
  const { root, storageBytes } = container === "zip" ? openZip(bytes, where) : openLegacy(bytes, where);
  const { dictionary, under } = stateDict(root, key, where);
  const tensors = new Map<string, StoredTensor>();
  let total = 0;
  for (const [name, tensor] of dictionary) {
    if (typeof name !== "string" || !isTorchObject(tensor, "tensor")) continue;
    const place = `${where}, tensor "${name}"`;
    // As float32, float16 takes twice the space, and tensors may share their numbers.
    total += Float32Array.BYTES_PER_ELEMENT * sizeOf(tensor.shape);
    if (total > largestExpansion * bytes.length) throw oversizedError(place, total, bytes.length);
    const read = (): EncodedTensor => encodedTensor(tensor, storageBytes(tensor.storage, place));
    tensors.set(name, { shape: tensor.shape, read });
  }
  if (tensors.size > 0) return { container, tensors, under };
  throw new FormatError({ where, what: "it has no tensors", expected: "a state_dict: names and tensors" });
}

interface Opened {
  readonly root: PickleValue;
  /** Bytes of a storage, little-endian. */
  readonly storageBytes: (storage: TorchStorage, where: string) => Uint8Array;
}

function openZip(bytes: Uint8Array, where: string): Opened {
  const entries = readZip(bytes, () => bytes.length, where);
  const name = [...entries.keys()].find((each) => pickleName.test(each));
  if (name === undefined) throw new FormatError({ where, what: "the zip archive has no pickle", expected: "data.pkl" });
  const folder = name.slice(0, -"data.pkl".length);
  const order = entries.get(`${folder}byteorder`);
  const isBig = order !== undefined && new TextDecoder().decode(order) === "big";
  const { value: root } = readPickle(entries.get(name)!, 0, `${where}, entry ${name}`, torchHandlers(new Map()));
  const storageBytes = (storage: TorchStorage, place: string): Uint8Array => {
    const stored = checkedStorage(storage, entries.get(`${folder}data/${storage.key}`), place);
    return isBig ? swapped(stored, bytesPerNumber(storage.format)) : stored;
  };
  return { root, storageBytes };
}

/** Pickles of a magic number, a version, system information, the object and the keys of its storages; then the storages. */
function openLegacy(bytes: Uint8Array, where: string): Opened {
  const known = new Map<string, TorchStorage>();
  const handlers = torchHandlers(known);
  const values: PickleValue[] = [];
  let position = 0;
  for (let part = 0; part < 5; part++) {
    const { value, end } = readPickle(bytes, position, where, handlers);
    values.push(value);
    position = end;
  }
  const [, , , root, keys] = values;
  const contents = new Map<string, Uint8Array>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const key of Array.isArray(keys) ? keys : []) {
    const storage = known.get(key as string);
    const place = `${where}, storage at byte ${position}`;
    if (storage === undefined) throw new FormatError({ where: place, what: "no tensor uses it" });
    const count = position + 8 <= bytes.length ? Number(view.getBigInt64(position, true)) : -1;
    const end = position + 8 + count * bytesPerNumber(storage.format);
    if (count < 0 || end > bytes.length) {
      throw new FormatError({
        where: place,
        what: "it extends beyond the end of the file",
        received: `${count} numbers in a file of ${bytes.length} bytes`,
        remedy: "Is the file truncated? Copy or download it again.",
      });
    }
    contents.set(storage.key, bytes.subarray(position + 8, end));
    position = end;
  }
  return { root, storageBytes: (storage, place) => checkedStorage(storage, contents.get(storage.key), place) };
}

function checkedStorage(storage: TorchStorage, bytes: Uint8Array | undefined, where: string): Uint8Array {
  const size = storage.count * bytesPerNumber(storage.format);
  if (bytes && bytes.length >= size) return bytes;
  throw new FormatError({
    where,
    what: `its storage "${storage.key}" is missing or truncated`,
    received: bytes === undefined ? "nothing" : `${bytes.length} bytes`,
    expected: `${size} bytes`,
  });
}

/** A dictionary of tensors, and the keys that lead to it. */
interface StateDict {
  readonly dictionary: ReadonlyMap<unknown, PickleValue>;
  readonly under: readonly string[];
}

/**
 * Finds the weights: the whole file, a part under a usual key, or the only dictionary of tensors.
 * @param key of the part to take, names separated by `/`.
 */
function stateDict(root: PickleValue, key: string | undefined, where: string): StateDict {
  if (!(root instanceof Map)) {
    throw new FormatError({
      where,
      what: "it has no dictionary of tensors",
      received: isTorchObject(root, "tensor") ? "a tensor" : typeof root,
      expected: "a state_dict",
      remedy: "Save it with torch.save(model.state_dict(), path).",
    });
  }
  const all = stateDictsIn(root);
  const names = all.map(({ under }) => under.join("/"));
  if (key !== undefined) {
    const chosen = all[names.indexOf(key)];
    if (chosen) return chosen;
    const expected = `one of ${names.join(", ")}`;
    throw new FormatError({ where, what: "it has no dictionary of tensors under this key", received: key, expected });
  }
  const usual = usualPlace(root);
  const inside = all.filter(({ under }) => usual.under.every((name, depth) => under[depth] === name));
  const [first = usual, ...others] = inside;
  if (others.length === 0 || first.under.length === usual.under.length) return first;
  throw new FormatError({
    where,
    what: "it has several dictionaries of tensors",
    received: inside.map(({ under }) => under.join("/")),
    expected: "one",
    remedy: "Choose one with --key (option key).",
  });
}

/** The part under the usual keys, or the whole. */
function usualPlace(root: ReadonlyMap<unknown, PickleValue>): StateDict {
  const under: string[] = [];
  let dictionary = root;
  while (under.length < deepest) {
    const inside = dictionary;
    const key = weightKeys.find((each) => inside.get(each) instanceof Map);
    if (key === undefined) break;
    under.push(key);
    dictionary = inside.get(key) as typeof root;
  }
  return { dictionary, under };
}

/** All dictionaries that consist mostly of tensors, outer ones first; those of optimizers are under numbers. */
function stateDictsIn(dictionary: ReadonlyMap<unknown, PickleValue>, under: readonly string[] = []): StateDict[] {
  const values = [...dictionary.values()];
  const isOwn = 2 * values.filter((value) => isTorchObject(value, "tensor")).length > values.length;
  const nested = [...dictionary].flatMap(([key, value]) =>
    value instanceof Map && typeof key === "string" && under.length < deepest
      ? stateDictsIn(value, [...under, key])
      : [],
  );
  return isOwn ? [{ dictionary, under }, ...nested] : nested;
}
