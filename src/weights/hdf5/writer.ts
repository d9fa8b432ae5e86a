import type { Group } from "h5wasm";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { hdf5Engine } from "./engine.ts";

/** One group of an HDF5 file that is being written. */
export class Hdf5WriterGroup {
  readonly #group: Group;

  constructor(group: Group) {
    this.#group = group;
  }

  /** A new group in this one; groups of the name's path that are there are used. */
  group(path: string): Hdf5WriterGroup {
    let group = this.#group;
    for (const name of path.split("/")) {
      group = group.keys().includes(name) ? (group.get(name) as Group) : group.create_group(name);
    }
    return new Hdf5WriterGroup(group);
  }

  /** Numbers under a name; groups of its path are made. */
  tensor(path: string, { shape, data }: FloatTensor): void {
    const folder = path.lastIndexOf("/");
    const parent = folder === -1 ? this : this.group(path.slice(0, folder));
    parent.#group.create_dataset({ name: path.slice(folder + 1), data, shape: [...shape], dtype: "<f" });
  }

  /** An attribute that is one text, or a list of texts. */
  text(attribute: string, value: string | readonly string[]): void {
    if (typeof value === "string") this.#group.create_attribute(attribute, value);
    // As h5py, through which Keras writes, has it: an empty list is one of no numbers.
    else if (value.length === 0) this.#group.create_attribute(attribute, new Float64Array(0), [0]);
    else this.#group.create_attribute(attribute, [...value]);
  }
}

/** Number of the next file: the engine keeps files by name. */
let nextFile = 0;

/** The bytes of an HDF5 file of what `write` puts in it. */
export async function writeHdf5(write: (root: Hdf5WriterGroup) => void): Promise<Uint8Array> {
  const { h5wasm, files } = await hdf5Engine();
  const name = `written-${nextFile++}.h5`;
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
