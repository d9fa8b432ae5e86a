import { FormatError } from "../../errors.ts";
import type { IsolatedJob, JobLimits } from "../../platform.ts";
import { hdf5Engine } from "../hdf5/engine.ts";
import { readHdf5 } from "../hdf5/hdf5.ts";
import type { KerasFile } from "../stored-layers.ts";
import { isZip } from "../zip.ts";
import { readKerasArchive } from "./archive.ts";
import { readStoredLayers } from "./layers.ts";

/**
 * `readKerasFile` as a job for another thread: the HDF5 library does not return from every damaged file.
 * @param movable whether the bytes may move there, after which they are gone here.
 */
export function kerasFileJob(bytes: Uint8Array, where: string, movable = false): IsolatedJob<KerasFile> {
  const { buffer } = bytes;
  const isAlone = buffer instanceof ArrayBuffer && bytes.length === buffer.byteLength;
  const moved = movable && isAlone ? [buffer] : [];
  return { module: kerasFileModule, name: "readKerasFile", input: [bytes, where], moved, where };
}

/** For {@link kerasFileJob}. */
export const kerasFileModule = import.meta.url;

/** Loads the HDF5 library before there is a file for it, which takes longer than reading a small one. */
export async function prepare(): Promise<void> {
  await hdf5Engine();
}

/** Far more than a sound file needs, on a slow machine. */
export function kerasFileLimits(bytes: Uint8Array): JobLimits {
  return { timeMs: 20_000 + bytes.length / 5_000, memoryBytes: 64 * 2 ** 20 + 4 * bytes.length };
}

/**
 * Reads any file that Keras writes: `.keras`, `.weights.h5`, `.h5` with the whole model or with its weights alone. What
 * it is shows in its content, whatever its name.
 * @param where what errors call the file.
 * @throws {FormatError} it is none of them, or damaged.
 */
export async function readKerasFile(bytes: Uint8Array, where: string): Promise<KerasFile> {
  if (isHdf5(bytes)) {
    return readHdf5(bytes, where, (root) => readStoredLayers(root, where));
  }
  if (isZip(bytes)) {
    const { config, weights, metadata } = readKerasArchive(bytes, where);
    const inside = `${where}, entry model.weights.h5`;
    const { layers } = await readHdf5(weights, inside, (root) => readStoredLayers(root, inside));
    return { format: "keras", layers, config, ...(metadata !== undefined && { metadata }) };
  }
  throw new FormatError({
    where,
    what: "this is no file of Keras",
    received: `the bytes ${[...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")} at offset 0`,
    expected: "HDF5 (.h5, .hdf5, .weights.h5) or a zip archive (.keras)",
  });
}

export function isHdf5(bytes: Uint8Array): boolean {
  return [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a].every((byte, offset) => bytes[offset] === byte);
}
