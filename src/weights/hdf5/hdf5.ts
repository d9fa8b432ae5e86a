import type { Attribute, Group, Metadata } from "h5wasm";
import { FormatError, XceptionError } from "../../errors.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import { hdf5Engine, renewAfter } from "./engine.ts";

/** One group of an HDF5 file. Its methods throw a FormatError where the file is damaged. */
export interface Hdf5Group {
  /** Names of what is in it, in alphabetical order. */
  keys(): readonly string[];
  /** The group at a path below this one, if there is one. */
  group(path: string): Hdf5Group | undefined;
  /** The numbers at a path below this group, if there are any. */
  tensor(path: string): FloatTensor | undefined;
  /** An attribute that is one text. */
  text(attribute: string): string | undefined;
  /** An attribute that is a list of texts. */
  texts(attribute: string): readonly string[] | undefined;
}

/** A file may stand for this many times its size; trained weights hardly compress, and Keras does not try. */
export const largestExpansion = 8;

/** Number of the next file: the engine keeps files by name, and several may be open at a time. */
let nextFile = 0;

/**
 * Opens an HDF5 file for as long as `read` takes.
 * @param where what errors call the file.
 * @throws {FormatError} this is no HDF5 file, or it is damaged.
 */
export async function readHdf5<T>(bytes: Uint8Array, where: string, read: (root: Hdf5Group) => T): Promise<T> {
  const { h5wasm, files } = await hdf5Engine();
  const name = `${nextFile++}.h5`;
  // The last argument lets the engine read these bytes where they are, without a copy.
  files.createDataFile("/", name, bytes, true, false, true);
  try {
    const file = new h5wasm.File(name, "r");
    try {
      return read(new OpenGroup(file, { where, h5wasm, fileSize: bytes.length, bytesRead: 0 }));
    } finally {
      file.close();
    }
  } catch (cause) {
    if (cause instanceof XceptionError) throw cause;
    renewAfter(cause);
    throw new FormatError({ where, what: `the HDF5 file is damaged (${reasonOf(cause)})`, cause });
  } finally {
    files.unlink(name);
  }
}

/** What all groups of a file share. */
interface OpenFile {
  readonly where: string;
  readonly h5wasm: Pick<typeof import("h5wasm"), "Group" | "Dataset">;
  readonly fileSize: number;
  bytesRead: number;
}

class OpenGroup implements Hdf5Group {
  readonly #group: Group;
  readonly #file: OpenFile;

  constructor(group: Group, file: OpenFile) {
    this.#group = group;
    this.#file = file;
  }

  keys(): readonly string[] {
    return this.#group.keys();
  }

  group(path: string): Hdf5Group | undefined {
    const found = this.#group.get(path);
    return found instanceof this.#file.h5wasm.Group ? new OpenGroup(found, this.#file) : undefined;
  }

  tensor(path: string): FloatTensor | undefined {
    const dataset = this.#group.get(path);
    if (!(dataset instanceof this.#file.h5wasm.Dataset)) return undefined;
    const where = `${this.#file.where}, dataset ${dataset.path}`;
    const { metadata } = dataset;
    this.#claim(metadata, where);
    const data = metadata.shape === null ? undefined : dataset.value;
    if (data instanceof Float32Array && metadata.littleEndian) return floatTensor(metadata.shape!, data);
    if (data instanceof Float64Array && metadata.littleEndian)
      return floatTensor(metadata.shape!, Float32Array.from(data));
    throw new FormatError({
      where,
      what: "these are not numbers of a kind that weights have",
      received: `HDF5 type ${metadata.type} of ${metadata.size} bytes`,
      expected: "float32 or float64, little-endian",
    });
  }

  text(attribute: string): string | undefined {
    const value = this.#attribute(attribute)?.value;
    return typeof value === "string" ? value : undefined;
  }

  texts(attribute: string): readonly string[] | undefined {
    const found = this.#attribute(attribute);
    if (found === undefined) return undefined;
    // An empty list has no type of its own in Keras's files: it is one of no numbers.
    if (found.metadata.total_size === 0) return [];
    const { value } = found;
    return Array.isArray(value) && value.every((each) => typeof each === "string") ? value : undefined;
  }

  #attribute(name: string): Attribute | undefined {
    const found = this.#group.attrs[name];
    if (found) this.#claim(found.metadata, `${this.#file.where}, attribute ${this.#group.path}@${name}`);
    return found;
  }

  /** @throws {FormatError} reading this would take more memory than the whole file can stand for. */
  #claim({ shape, size }: Metadata, where: string): void {
    this.#file.bytesRead += sizeOf(shape ?? []) * size;
    if (this.#file.bytesRead <= this.#file.fileSize * largestExpansion) return;
    throw new FormatError({
      where,
      what: "the file claims to hold more than it can",
      received: `${this.#file.bytesRead} bytes so far in a file of ${this.#file.fileSize}`,
      expected: `at most ${largestExpansion} times its size`,
    });
  }
}

/** The innermost cause among those that the HDF5 library lists, e.g. `truncated file: eof = 90, …`. */
function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return [...text.matchAll(/ in \w+\(\): (.+)$/gm)].at(-1)?.[1] ?? text.split("\n")[0]!;
}
