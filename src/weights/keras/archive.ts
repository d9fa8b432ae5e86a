import { FormatError } from "../../errors.ts";
import { largestExpansion } from "../hdf5/hdf5.ts";
import { metadataKey } from "../metadata-key.ts";
import { readZip } from "../zip.ts";

const configEntry = "config.json";
const weightsEntry = "model.weights.h5";
/** Versions and dates of Keras, and where we put what Keras has no place for. */
const aboutEntry = "metadata.json";

/** A text of this size would describe a network of hundreds of thousands of layers. */
const largestConfig = 2 ** 26;

/** What a `.keras` file holds: a zip archive. */
export interface KerasArchive {
  /** JSON. */
  readonly config: string;
  /** HDF5. */
  readonly weights: Uint8Array;
  /** Our JSON document, if we wrote the file. */
  readonly metadata?: string;
}

/**
 * Takes a `.keras` file apart.
 * @param where what errors call the file.
 * @throws {FormatError} it is damaged, an entry is missing, or claims to be larger than it can be.
 */
export function readKerasArchive(bytes: Uint8Array, where: string): KerasArchive {
  const limits = new Map([
    [configEntry, largestConfig],
    [weightsEntry, bytes.length * largestExpansion],
    [aboutEntry, largestConfig],
  ]);
  const entries = readZip(bytes, (name) => limits.get(name), where);
  for (const entry of [configEntry, weightsEntry]) {
    if (entries.has(entry)) continue;
    throw new FormatError({
      where,
      what: `the zip archive has no "${entry}"`,
      expected: `a Keras model: ${configEntry} and ${weightsEntry}`,
    });
  }
  const metadata = metadataIn(entries.get(aboutEntry));
  return {
    config: new TextDecoder().decode(entries.get(configEntry)),
    weights: entries.get(weightsEntry)!,
    ...(metadata !== undefined && { metadata }),
  };
}

/** What Keras writes there is of no use to us, so that nothing in it is an error. */
function metadataIn(about: Uint8Array | undefined): string | undefined {
  try {
    const found: unknown = JSON.parse(new TextDecoder().decode(about))?.[metadataKey];
    return typeof found === "string" ? found : undefined;
  } catch {
    return undefined;
  }
}
