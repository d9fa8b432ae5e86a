import { FormatError } from "../../base/errors.ts";
import type { IsolatedJob, JobLimits } from "../../base/platform.ts";
import { metadataKey } from "../format.ts";
import type { StoredLayer, StoredWeight } from "../map-weights.ts";
import { firstBytes, isHdf5, isZip } from "../signatures.ts";
import { largestExpansion, readZip } from "../zip.ts";
import { type Hdf5Group, hdf5Engine, readHdf5 } from "./hdf5.ts";

/** Contents of a Keras file. */
export interface KerasFile {
  /** `keras` and `h5` hold a whole model, `h5 weights` and `weights.h5` only its weights. */
  readonly format: "keras" | "h5" | "h5 weights" | "weights.h5";
  /** The layers that have weights, in the order of the file. */
  readonly layers: readonly StoredLayer[];
  /** The network as JSON, if the file has it. */
  readonly config?: string;
  /** Our JSON document, if we wrote the file. */
  readonly metadata?: string;
}

/** Models nested deeper than this are a file that contains itself. */
export const deepestNesting = 8;

/** A description this long would be of a network with hundreds of thousands of layers. */
const largestConfig = 2 ** 26;

/**
 * Describes `readKerasFile` as a job for another thread: the HDF5 library never returns from some damaged files.
 * @param movable true if the bytes may be transferred there, which detaches them here.
 */
export function kerasFileJob(bytes: Uint8Array, where: string, movable = false): IsolatedJob<KerasFile> {
  const { buffer } = bytes;
  const isAlone = buffer instanceof ArrayBuffer && bytes.length === buffer.byteLength;
  const moved = movable && isAlone ? [buffer] : [];
  return { module: kerasFileModule, name: "readKerasFile", input: [bytes, where], moved, where };
}

/** This module, for {@link kerasFileJob}. */
export const kerasFileModule = import.meta.url;

/** Loads the HDF5 library ahead of the first file: loading it takes longer than reading a small one. */
export async function prepare(): Promise<void> {
  await hdf5Engine();
}

/** Far more than an intact file needs, on a slow machine. */
export function kerasFileLimits(bytes: Uint8Array): JobLimits {
  return { timeMs: 20_000 + bytes.length / 5_000, memoryBytes: 64 * 2 ** 20 + 4 * bytes.length };
}

/**
 * Reads any file that Keras writes: `.keras`, `.weights.h5`, or `.h5` with a whole model or only its weights. The content
 * decides which it is, not the name.
 * @param where the file's name in errors.
 * @throws {FormatError} it is none of them, or damaged.
 */
export async function readKerasFile(bytes: Uint8Array, where: string): Promise<KerasFile> {
  if (isHdf5(bytes)) return readHdf5(bytes, where, (root) => storedFile(root, where));
  if (!isZip(bytes)) {
    throw new FormatError({
      where,
      what: "this is not a Keras file",
      received: firstBytes(bytes),
      expected: "HDF5 (.h5, .hdf5, .weights.h5) or a zip archive (.keras)",
    });
  }
  const { config, weights, metadata } = readArchive(bytes, where);
  const inside = `${where}, entry model.weights.h5`;
  const { layers } = await readHdf5(weights, inside, (root) => storedFile(root, inside));
  return { format: "keras", layers, config, ...metadata };
}

/** @throws {FormatError} the archive is damaged, or an entry is missing or too large. */
function readArchive(bytes: Uint8Array, where: string) {
  const limits = new Map([
    ["config.json", largestConfig],
    ["model.weights.h5", bytes.length * largestExpansion],
    // Versions and dates of Keras, and our own metadata.
    ["metadata.json", largestConfig],
  ]);
  const entries = readZip(bytes, (name) => limits.get(name), where);
  const entry = (name: string): Uint8Array => {
    const content = entries.get(name);
    if (content) return content;
    const expected = "a Keras model: config.json and model.weights.h5";
    throw new FormatError({ where, what: `the zip archive has no "${name}"`, expected });
  };
  const config = new TextDecoder().decode(entry("config.json"));
  return { config, weights: entry("model.weights.h5"), metadata: metadataIn(entries.get("metadata.json")) };
}

/** We need nothing that Keras writes there, so nothing in it is an error. */
function metadataIn(about: Uint8Array | undefined): Pick<KerasFile, "metadata"> {
  try {
    const metadata: unknown = JSON.parse(new TextDecoder().decode(about))?.[metadataKey];
    return typeof metadata === "string" ? { metadata } : {};
  } catch {
    return {};
  }
}

/** @throws {FormatError} the HDF5 file has none of Keras's layouts, or lists weights that it lacks. */
function storedFile(root: Hdf5Group, where: string): KerasFile {
  const metadata = root.text(metadataKey);
  const about = metadata === undefined ? {} : { metadata };
  const config = root.text("model_config");
  const weights = root.group("model_weights");
  if (config !== undefined && weights) return { format: "h5", layers: legacyLayers(weights, where), config, ...about };
  if (longList(root, "layer_names")) return { format: "h5 weights", layers: legacyLayers(root, where), ...about };
  if (root.group("layers")) return { format: "weights.h5", layers: layersWithVariables(root, where, ""), ...about };
  throw new FormatError({
    where,
    what: "the HDF5 file has no Keras weights",
    received: root.keys(),
    expected: 'an attribute "layer_names", or groups "model_weights" or "layers"',
  });
}

/** Keras 1 and 2, and `.h5` of Keras 3: lists of names give the order of layers and of their weights. */
function legacyLayers(group: Hdf5Group, where: string): StoredLayer[] {
  const names = longList(group, "layer_names");
  if (!names) throw new FormatError({ where, what: 'group "model_weights" has no attribute "layer_names"' });
  return names.flatMap((name) => {
    const layer = group.group(name);
    const paths = layer && longList(layer, "weight_names");
    if (!layer || !paths) throw new FormatError({ where, what: `layer "${name}" has no list of its weights` });
    const weights = paths.map((path): StoredWeight => {
      const tensor = layer.tensor(path);
      if (!tensor) throw new FormatError({ where, what: `layer "${name}" has no weight "${path}"` });
      return { path: `${name}/${path}`, tensor };
    });
    // `block1_conv1` of `xception/block1_conv1/kernel:0`.
    return byOwner(weights).map((own) => ({
      name: own === weights ? name : own[0]!.path.split("/").at(-2)!,
      weights: own,
    }));
  });
}

/**
 * Splits the weights of a nested model, which the file lists as one layer, by layer: `block1_conv1/kernel:0`. Trainable
 * weights come first. Those of a single layer stay together.
 */
function byOwner(weights: readonly StoredWeight[]): readonly (readonly StoredWeight[])[] {
  const owners = new Map<string, StoredWeight[]>();
  for (const weight of weights) {
    const owner = weight.path.slice(0, weight.path.lastIndexOf("/"));
    owners.set(owner, [...(owners.get(owner) ?? []), weight]);
  }
  return owners.size === 1 ? [weights] : [...owners.values()];
}

/** A list too long for one attribute continues in others: `layer_names0`, `layer_names1`, … */
function longList(group: Hdf5Group, attribute: string): readonly string[] | undefined {
  const whole = group.texts(attribute);
  if (whole) return whole;
  const parts: string[][] = [];
  for (let index = 0; ; index++) {
    const part = group.texts(`${attribute}${index}`);
    if (!part) return index === 0 ? undefined : parts.flat();
    parts.push([...part]);
  }
}

/**
 * `.weights.h5` of Keras 3: `layers/batch_normalization_1/vars/0`, named by class and unordered; the layer's own name is
 * an attribute of `vars`.
 */
function layersWithVariables(group: Hdf5Group, where: string, path: string, depth = 0): StoredLayer[] {
  if (depth > deepestNesting) throw new FormatError({ where, what: `models are nested too deeply at "${path}"` });
  const layers = group.group("layers");
  if (!layers) return [];
  return [...layers.keys()].sort(byNumber).flatMap((key): StoredLayer[] => {
    const layer = layers.group(key);
    if (!layer) return [];
    const place = `${path}layers/${key}`;
    const variables = layer.group("vars");
    const weights = [...(variables?.keys() ?? [])].sort(byNumber).map((index): StoredWeight => {
      const tensor = variables!.tensor(index);
      if (!tensor) throw new FormatError({ where, what: `"${place}/vars/${index}" is not a weight` });
      return { path: `${place}/vars/${index}`, tensor };
    });
    const nested = layersWithVariables(layer, where, `${place}/`, depth + 1);
    return weights.length > 0 ? [{ name: variables?.text("name") ?? key, alias: key, weights }, ...nested] : nested;
  });
}

/** Sorts `dense`, `dense_1`, `dense_2`, … `dense_10`. */
const byNumber = new Intl.Collator("en", { numeric: true }).compare;
