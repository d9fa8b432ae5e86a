import { WeightsError } from "../errors.ts";
import type { Layer } from "../graph/network.ts";
import { kerasClassNumbers } from "./keras/class-numbers.ts";
import type { StoredLayer } from "./stored-layers.ts";

/** Which layer of a file is which of a network. */
export interface Pairing {
  /** How they were told: by their names, by class and number, or by their order alone. */
  readonly by: "name" | "class" | "order";
  readonly pairs: readonly (readonly [Layer, StoredLayer])[];
  /** Layers of the file that are none of the network's. */
  readonly unpaired: readonly StoredLayer[];
}

/**
 * Finds out which layer of a file is which of a network. Names decide where all agree. Else class and number do, in files
 * that have them; else the order, if there are equally many layers: automatic names (`conv2d_7`) count on through a
 * session of Keras and mean nothing but an order. Where the numbers of layers differ, names are all there is: those that
 * authors gave, and the order among automatic ones of a class that both have equally many of.
 * @param layers those of the network that have weights.
 * @param required those among them that the file must have: it may have these alone.
 * @throws {WeightsError} by order, a layer would get the weights of another one that has its name.
 */
export function pairLayers(
  layers: readonly Layer[],
  stored: readonly StoredLayer[],
  where: string,
  required: readonly Layer[] = layers,
): Pairing {
  const byName = pairBy(
    "name",
    layers,
    stored,
    (layer) => layer.name,
    (each) => each.name,
  );
  if (isComplete(byName, layers)) return byName;
  const aliases = kerasClassNumbers(layers.map(({ config }) => config.type));
  const numbers = new Map(layers.map((layer, index) => [layer, aliases[index]!]));
  const byClass = pairBy(
    "class",
    layers,
    stored,
    (layer) => numbers.get(layer)!,
    (each) => each.alias,
  );
  if (isComplete(byClass, layers)) return byClass;
  const byNumber = pairNumbered(layers, stored);
  if (isComplete(byNumber, layers)) return byNumber;
  const ordered = [layers, required].find(({ length }) => length === stored.length);
  if (!ordered || isComplete(byNumber, ordered) || stored.some(({ alias }) => alias !== undefined)) return byNumber;
  const pairs = ordered.map((layer, index) => [layer, stored[index]!] as const);
  assertUncrossed(pairs, where);
  return { by: "order", pairs, unpaired: [] };
}

function pairBy(
  by: Pairing["by"],
  layers: readonly Layer[],
  stored: readonly StoredLayer[],
  ownName: (layer: Layer) => string,
  storedName: (layer: StoredLayer) => string | undefined,
): Pairing {
  const candidates = new Map(stored.map((each) => [storedName(each), each]));
  const pairs = layers.flatMap((layer) => {
    const found = candidates.get(ownName(layer));
    return found ? [[layer, found] as const] : [];
  });
  const paired = new Set(pairs.map(([, each]) => each));
  return { by, pairs, unpaired: stored.filter((each) => !paired.has(each)) };
}

function isComplete({ pairs, unpaired }: Pairing, layers: readonly Layer[]): boolean {
  return pairs.length === layers.length && unpaired.length === 0;
}

/** Pairs layers by their names; automatic names of a class by their order, if both sides have equally many. */
function pairNumbered(layers: readonly Layer[], stored: readonly StoredLayer[]): Pairing {
  const ours = numbered(layers);
  const theirs = numbered(stored);
  const renamed = new Map<StoredLayer, string>();
  for (const [kind, own] of ours) {
    const foreign = theirs.get(kind);
    if (foreign?.length !== own.length) continue;
    for (const [index, each] of foreign.entries()) renamed.set(each, own[index]!.name);
  }
  const storedName = (each: StoredLayer): string => renamed.get(each) ?? each.name;
  return pairBy("name", layers, stored, ({ name }) => name, storedName);
}

/** What has an automatic name, by class, in the order of the numbers. */
function numbered<T extends { readonly name: string }>(layers: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const found = new Map<string, { readonly layer: T; readonly number: number }[]>();
  for (const layer of layers) {
    const match = automaticName.exec(layer.name);
    if (!match) continue;
    // Keras's first version wrote the words out and together.
    const kind = match[1]!.replace("convolution", "conv").replaceAll("_", "");
    found.set(kind, [...(found.get(kind) ?? []), { layer, number: Number(match[2] ?? 0) }]);
  }
  return new Map(
    [...found].map(([kind, each]) => [kind, each.sort((a, b) => a.number - b.number).map(({ layer }) => layer)]),
  );
}

/** Names that Keras gives, today or in its first version; the author of a network gives others. */
const automaticName =
  /^(conv2d|convolution2d|separable_conv2d|separableconvolution2d|batch_normalization|batchnormalization|dense)(?:_(\d+))?$/;

/** Shapes alone would not tell two blocks of the same size apart. */
function assertUncrossed(pairs: Pairing["pairs"], where: string): void {
  const named = new Set(pairs.map(([layer]) => layer.name).filter((name) => !automaticName.test(name)));
  for (const [layer, stored] of pairs) {
    if (stored.name === layer.name || !named.has(stored.name)) continue;
    throw new WeightsError({
      where,
      what: `names and order of its layers contradict each other: "${stored.name}" is where the network has "${layer.name}"`,
      expected: "the layers of this network in its order",
    });
  }
}
