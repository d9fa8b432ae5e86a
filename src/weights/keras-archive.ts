import { unzipSync } from "fflate";
import { FormatError } from "../errors.ts";
import { largestExpansion } from "./hdf5.ts";

const configEntry = "config.json";
const weightsEntry = "model.weights.h5";

/** A text of this size would describe a network of hundreds of thousands of layers. */
const largestConfig = 2 ** 26;

/** What a `.keras` file holds: a zip archive. */
export interface KerasArchive {
  /** JSON. */
  readonly config: string;
  /** HDF5. */
  readonly weights: Uint8Array;
}

/**
 * Takes a `.keras` file apart. Entries of other names are left alone, wherever they would want to go.
 * @param where what errors call the file.
 * @throws {FormatError} it is damaged, an entry is missing, or claims to be larger than it can be.
 */
export function readKerasArchive(bytes: Uint8Array, where: string): KerasArchive {
  const limits = new Map([
    [configEntry, largestConfig],
    [weightsEntry, bytes.length * largestExpansion],
  ]);
  const entries = new Map(Object.entries(unzip(bytes, limits, where)));
  for (const entry of limits.keys()) {
    if (entries.has(entry)) continue;
    throw new FormatError({
      where,
      what: `the zip archive has no "${entry}"`,
      expected: `a Keras model: ${[...limits.keys()].join(" and ")}`,
    });
  }
  return { config: new TextDecoder().decode(entries.get(configEntry)), weights: entries.get(weightsEntry)! };
}

function unzip(bytes: Uint8Array, limits: ReadonlyMap<string, number>, where: string) {
  try {
    return unzipSync(bytes, {
      filter: ({ name, originalSize }) => {
        const limit = limits.get(name);
        if (limit !== undefined && originalSize > limit) throw tooLarge(`${where}, entry ${name}`, originalSize, limit);
        return limit !== undefined;
      },
    });
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError({ where, what: `the zip archive is damaged (${reason})`, cause });
  }
}

function tooLarge(where: string, size: number, limit: number): FormatError {
  return new FormatError({
    where,
    what: "the entry claims to be larger than it can be",
    received: `${size} bytes`,
    expected: `at most ${limit}`,
  });
}
