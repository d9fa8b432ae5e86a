import { UsageError, XceptionError } from "../../../base/errors.ts";
import { type PackedError, packError, unpackError } from "../../error-transfer.ts";

/** Key of a packed value, which stands for one that cannot be posted. */
const key = "xception-ts";

/** A value that cannot be posted to another thread as it is. */
type Packed =
  | { readonly [key]: "error"; readonly error: PackedError }
  | { readonly [key]: "url"; readonly href: string }
  | { readonly [key]: "signal"; readonly id: number }
  | { readonly [key]: "callback"; readonly id: number }
  | { readonly [key]: "reference"; readonly id: number }
  | { readonly [key]: "object"; readonly object: RemoteObject };

/** An object that stays in the worker. */
export interface RemoteObject {
  readonly id: number;
  /** Its own fields. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly methods: readonly string[];
  /** Those of its methods that return asynchronous generators. */
  readonly generators: readonly string[];
}

/** Replaces the values that only one side can. */
export interface Packer {
  signal?(signal: AbortSignal): number;
  callback?(callback: (...args: readonly unknown[]) => unknown): number;
  object?(object: object): RemoteObject;
  /** Returns the id of an object that lives on the other side. */
  reference?(value: object): number | undefined;
  /** Buffers and bitmaps that are transferred instead of copied are added here. */
  readonly moved?: Set<Transferable>;
}

/** Turns a packed value back. */
export interface Unpacker {
  signal?(id: number): AbortSignal;
  callback?(id: number): (...args: readonly unknown[]) => unknown;
  reference?(id: number): object | undefined;
  object?(object: RemoteObject): object;
}

/** Functions with these names are called from the worker; others compute something there, so their code is needed there. */
const hookName = /^(on[A-Z]|read$|write$|save$)/;

/**
 * Packs a value for another thread.
 * @param name of the value in errors.
 * @throws {UsageError} it contains a function that cannot be called from another thread.
 */
export function pack(value: unknown, packer: Packer, name = "argument"): unknown {
  if (typeof value === "function") {
    if (packer.callback === undefined || !hookName.test(name.slice(name.lastIndexOf(".") + 1))) throw ownCode(name);
    return packed({ [key]: "callback", id: packer.callback(value as () => unknown) });
  }
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof XceptionError) return packed({ [key]: "error", error: packError(value) });
  if (value instanceof URL) return packed({ [key]: "url", href: value.href });
  if (value instanceof AbortSignal && packer.signal) return packed({ [key]: "signal", id: packer.signal(value) });
  if (Array.isArray(value)) return value.map((each, index) => pack(each, packer, `${name}.${index}`));
  if (value instanceof Map) {
    return new Map([...value].map(([field, each]) => [field, pack(each, packer, `${name}.${String(field)}`)]));
  }
  const id = packer.reference?.(value);
  if (id !== undefined) return packed({ [key]: "reference", id });
  if (isPlain(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([field, each]) => [field, pack(each, packer, `${name}.${field}`)]),
    );
  }
  if (ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer) packer.moved?.add(value.buffer);
  if (isPostable(value)) return value;
  if (packer.object === undefined) throw ownCode(name, "a value of this kind cannot be sent to the worker");
  return packed({ [key]: "object", object: packer.object(value) });
}

/** Turns a value that was packed by another thread back. */
export function unpack(value: unknown, unpacker: Unpacker): unknown {
  if (Array.isArray(value)) return value.map((each) => unpack(each, unpacker));
  if (value instanceof Map) return new Map([...value].map(([field, each]) => [field, unpack(each, unpacker)]));
  if (!isPlain(value)) return value;
  if (!(key in value)) {
    return Object.fromEntries(Object.entries(value).map(([field, each]) => [field, unpack(each, unpacker)]));
  }
  const found = value as Packed;
  if (found[key] === "error") return unpackError(found.error);
  if (found[key] === "url") return new URL(found.href);
  if (found[key] === "signal") return unpacker.signal!(found.id);
  if (found[key] === "object") return unpacker.object!(found.object);
  if (found[key] === "reference") return unpacker.reference!(found.id);
  return unpacker.callback!(found.id);
}

/** Keeps the compiler's eye on the form. */
function packed(value: Packed): Packed {
  return value;
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Classes that the structured clone algorithm copies. */
const postable = ["Blob", "ArrayBuffer", "SharedArrayBuffer", "Set", "Date", "ImageBitmap", "ImageData", "VideoFrame"];

function isPostable(value: object): boolean {
  return (
    ArrayBuffer.isView(value) ||
    postable.some((name) => {
      const known = (globalThis as Readonly<Record<string, unknown>>)[name];
      return typeof known === "function" && value instanceof known;
    })
  );
}

function ownCode(name: string, what = "its code runs on the page, but is needed in the worker"): UsageError {
  return new UsageError({
    where: name.replace(/^argument\.\d+\./, "option "),
    what,
    remedy: "Use a value by name, or run bind(webPlatform()) in a worker of your own.",
  });
}
