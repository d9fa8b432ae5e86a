import type { Attribute, Group, Metadata } from "h5wasm";
import { FormatError, XceptionError } from "../../base/errors.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import { largestExpansion, oversizedError } from "../zip.ts";

type H5wasm = typeof import("h5wasm");

/** The HDF5 library, compiled to WebAssembly, in an instance of its own. */
interface Hdf5Engine {
  readonly h5wasm: H5wasm;
  readonly files: Awaited<H5wasm["ready"]>["FS"];
}

let current: Promise<Hdf5Engine> | undefined;
let instances = 0;
/** Number of the next file: the library addresses files by name, and several may be open at a time. */
let nextFile = 0;

/** Loads the library on first use: it is four megabytes of code. */
export function hdf5Engine(): Promise<Hdf5Engine> {
  current ??= start(instances++);
  return current;
}

async function start(instance: number): Promise<Hdf5Engine> {
  const h5wasm = await (instance === 0 ? import("h5wasm") : anotherInstance("h5wasm", instance));
  const engine = await h5wasm.ready;
  // By default it prints errors and continues with an invalid handle.
  engine.activate_throwing_error_handler();
  return { h5wasm, files: engine.FS };
}

/** Modules are loaded once per address. Only the wrapper is reloaded; the compiled program stays in memory. */
async function anotherInstance(library: string, instance: number): Promise<H5wasm> {
  try {
    return await import(/* webpackIgnore: true */ `${import.meta.resolve(library)}?instance=${instance}`);
  } catch {
    // In a bundle there is no other one.
    return import("h5wasm");
  }
}

/**
 * Opens an HDF5 file for as long as `read` takes.
 * @param where the file's name in errors.
 * @throws {FormatError} it is not an HDF5 file, or damaged.
 */
export async function readHdf5<T>(bytes: Uint8Array, where: string, read: (root: Hdf5Group) => T): Promise<T> {
  const { h5wasm, files } = await hdf5Engine();
  const name = `${nextFile++}.h5`;
  // The last argument lets the library read these bytes in place, without a copy.
  files.createDataFile("/", name, bytes, true, false, true);
  try {
    const file = new h5wasm.File(name, "r");
    try {
      return read(new Hdf5Group(file, { where, h5wasm, root: file, fileSize: bytes.length, bytesRead: 0 }));
    } finally {
      file.close();
    }
  } catch (cause) {
    if (cause instanceof XceptionError) throw cause;
    // A damaged file can make the library overwrite its memory; it would then reject intact files too. Replace it.
    if (cause instanceof Error && cause.name === "RuntimeError") current = undefined;
    throw new FormatError({ where, what: `the HDF5 file is damaged (${reasonOf(cause)})`, cause });
  } finally {
    files.unlink(name);
  }
}

/** State shared by all groups of an open file. */
interface OpenFile {
  readonly where: string;
  readonly h5wasm: Pick<H5wasm, "Group" | "Dataset">;
  readonly root: Group;
  readonly fileSize: number;
  bytesRead: number;
}

/** A group of an HDF5 file. Its methods throw a FormatError where the file is damaged. */
export class Hdf5Group {
  readonly #group: Group;
  readonly #file: OpenFile;

  constructor(group: Group, file: OpenFile) {
    this.#group = group;
    this.#file = file;
  }

  /** Names of its members, in alphabetical order. */
  keys(): readonly string[] {
    return this.#group.keys();
  }

  /** The group at a relative path, if there is one. */
  group(path: string): Hdf5Group | undefined {
    const found = this.#group.get(path);
    return found instanceof this.#file.h5wasm.Group ? new Hdf5Group(found, this.#file) : undefined;
  }

  /** The dataset at a relative path, if there is one. */
  tensor(path: string): FloatTensor | undefined {
    const dataset = this.#group.get(path);
    if (!(dataset instanceof this.#file.h5wasm.Dataset)) return undefined;
    const where = `${this.#file.where}, dataset ${dataset.path}`;
    const { metadata } = dataset;
    this.#claim(metadata, where);
    this.#assertStored(metadata, where);
    const data = metadata.shape === null ? undefined : dataset.value;
    if (data instanceof Float32Array && metadata.littleEndian) return floatTensor(metadata.shape!, data);
    if (data instanceof Float64Array && metadata.littleEndian)
      return floatTensor(metadata.shape!, Float32Array.from(data));
    throw new FormatError({
      where,
      what: "unsupported data type for weights",
      received: `HDF5 type ${metadata.type} of ${metadata.size} bytes`,
      expected: "float32 or float64, little-endian",
    });
  }

  /** A string attribute. */
  text(attribute: string): string | undefined {
    const value = this.#attribute(attribute)?.value;
    return typeof value === "string" ? value : undefined;
  }

  /** An attribute that is a list of strings. */
  texts(attribute: string): readonly string[] | undefined {
    const found = this.#attribute(attribute);
    if (found === undefined) return undefined;
    // An empty list has no string type in Keras's files: it is an empty list of numbers.
    if (found.metadata.total_size === 0) return [];
    const { value } = found;
    return Array.isArray(value) && value.every((each) => typeof each === "string") ? value : undefined;
  }

  #attribute(name: string): Attribute | undefined {
    const found = this.#group.attrs[name];
    if (found) this.#claim(found.metadata, `${this.#file.where}, attribute ${this.#group.path}@${name}`);
    return found;
  }

  /** @throws {FormatError} the library would read zeros, because it is a virtual dataset whose source is missing. */
  #assertStored({ virtual_sources: sources = [] }: Metadata, where: string): void {
    const { root, h5wasm } = this.#file;
    const isStored = ({ file_name: file, dset_name: path }: (typeof sources)[number]) => {
      const source = file === "." ? root.get(path) : undefined;
      return source instanceof h5wasm.Dataset && source.metadata.virtual_sources === undefined;
    };
    const missing = sources.find((source) => !isStored(source));
    if (missing === undefined) return;
    throw new FormatError({
      where,
      what: "it is a virtual dataset whose source is missing",
      received: `dataset "${missing.dset_name}" of file "${missing.file_name}"`,
      expected: "numbers stored in this file",
    });
  }

  /** @throws {FormatError} reading this would take more memory than the whole file can expand to. */
  #claim({ shape, size }: Metadata, where: string): void {
    this.#file.bytesRead += sizeOf(shape ?? []) * size;
    const { bytesRead, fileSize } = this.#file;
    if (bytesRead > fileSize * largestExpansion) throw oversizedError(where, bytesRead, fileSize);
  }
}

/** The innermost cause the HDF5 library lists, e.g. `truncated file: eof = 90, …`. */
function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return [...text.matchAll(/ in \w+\(\): (.+)$/gm)].at(-1)?.[1] ?? text.split("\n")[0]!;
}

/** Writes an HDF5 file and returns its bytes. */
export async function writeHdf5(write: (root: Hdf5WriterGroup) => void): Promise<Uint8Array> {
  const { h5wasm, files } = await hdf5Engine();
  const name = `${nextFile++}.h5`;
  const file = new h5wasm.File(name, "w");
  try {
    try {
      write(new Hdf5WriterGroup(file));
    } finally {
      file.close();
    }
    return files.readFile(name);
  } finally {
    files.unlink(name);
  }
}

/** A group of an HDF5 file being written. */
export class Hdf5WriterGroup {
  readonly #group: Group;

  constructor(group: Group) {
    this.#group = group;
  }

  /** Opens the group at a relative path; missing groups are created. */
  group(path: string): Hdf5WriterGroup {
    let group = this.#group;
    for (const name of path.split("/")) {
      group = group.keys().includes(name) ? (group.get(name) as Group) : group.create_group(name);
    }
    return new Hdf5WriterGroup(group);
  }

  /** Writes a dataset; missing groups on its path are created. */
  tensor(path: string, { shape, data }: FloatTensor): void {
    const folder = path.lastIndexOf("/");
    const parent = folder === -1 ? this : this.group(path.slice(0, folder));
    parent.#group.create_dataset({ name: path.slice(folder + 1), data, shape: [...shape], dtype: "<f" });
  }

  /** Writes an attribute: a string or a list of strings. */
  text(attribute: string, value: string | readonly string[]): void {
    if (typeof value === "string") this.#group.create_attribute(attribute, value);
    // As h5py, which Keras writes with, does it: an empty list is an empty list of numbers.
    else if (value.length === 0) this.#group.create_attribute(attribute, new Float64Array(0), [0]);
    else this.#group.create_attribute(attribute, [...value]);
  }
}
