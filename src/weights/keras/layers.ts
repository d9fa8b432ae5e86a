import { FormatError } from "../../errors.ts";
import type { Hdf5Group } from "../hdf5/hdf5.ts";
import { metadataKey } from "../metadata-key.ts";
import type { KerasFile, StoredLayer, StoredWeight } from "../stored-layers.ts";

/** Models within models deeper than this are a file that holds itself. */
const deepestNesting = 8;

/**
 * The layers in an HDF5 file of Keras, in whichever of its layouts.
 * @throws {FormatError} it is in none of them, or names weights that are not there.
 */
export function readStoredLayers(root: Hdf5Group, where: string): KerasFile {
  const metadata = root.text(metadataKey);
  const about = metadata === undefined ? {} : { metadata };
  const config = root.text("model_config");
  const weights = root.group("model_weights");
  if (config !== undefined && weights) return { format: "h5", layers: legacyLayers(weights, where), config, ...about };
  if (longList(root, "layer_names")) return { format: "h5 weights", layers: legacyLayers(root, where), ...about };
  if (root.group("layers")) return { format: "weights.h5", layers: layersWithVariables(root, where, ""), ...about };
  throw new FormatError({
    where,
    what: "the HDF5 file holds no weights of Keras",
    received: root.keys(),
    expected: 'an attribute "layer_names", or groups "model_weights" or "layers"',
  });
}

/** Keras 1 and 2, and `.h5` of Keras 3: lists of names tell the order of layers and of their weights. */
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
    return byOwner(weights).map((own) => ({ name: own === weights ? name : ownerOf(own[0]!.path), weights: own }));
  });
}

/**
 * Weights of the layers of a model within the model, which the file lists as one layer: `block1_conv1/kernel:0`, what is
 * trained first. Those of a single layer stay as they are.
 */
function byOwner(weights: readonly StoredWeight[]): readonly (readonly StoredWeight[])[] {
  const owners = new Map<string, StoredWeight[]>();
  for (const weight of weights) {
    const owner = weight.path.slice(0, weight.path.lastIndexOf("/"));
    owners.set(owner, [...(owners.get(owner) ?? []), weight]);
  }
  return owners.size === 1 ? [weights] : [...owners.values()];
}

/** `block1_conv1` of `xception/block1_conv1/kernel:0`. */
function ownerOf(path: string): string {
  return path.split("/").at(-2)!;
}

/** A list too long for one attribute is continued in others: `layer_names0`, `layer_names1`, … */
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
 * `.weights.h5` of Keras 3: `layers/batch_normalization_1/vars/0`, named after classes and in no order; what the author
 * named the layer is an attribute of `vars`.
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
      if (!tensor) throw new FormatError({ where, what: `"${place}/vars/${index}" is no weight` });
      return { path: `${place}/vars/${index}`, tensor };
    });
    const nested = layersWithVariables(layer, where, `${place}/`, depth + 1);
    return weights.length > 0 ? [{ name: variables?.text("name") ?? key, alias: key, weights }, ...nested] : nested;
  });
}

/** `dense`, `dense_1`, `dense_2`, … `dense_10`. */
function byNumber(a: string, b: string): number {
  const [stemA, numberA] = stemAndNumber(a);
  const [stemB, numberB] = stemAndNumber(b);
  return stemA === stemB ? numberA - numberB : stemA < stemB ? -1 : 1;
}

function stemAndNumber(name: string): readonly [stem: string, number: number] {
  const match = /^(.*?)_?(\d+)$/.exec(name);
  return match ? [match[1]!, Number(match[2])] : [name, 0];
}
