import { type WeightDifferences, WeightsError } from "../base/errors.ts";
import { initialWeight } from "../graph/initialize.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import { snakeCase } from "../graph/layers.ts";
import { type Layer, type Network, networkWeights } from "../graph/network.ts";
import { checkWeights, type Weights, weightDifferences } from "../graph/weights.ts";
import { sameShape } from "../tensor/shape.ts";
import { type FloatTensor, filledTensor } from "../tensor/tensor.ts";

interface MapOptions {
  /** The file's name in errors. */
  readonly where: string;
  /**
   * Comma-separated patterns, `*` for anything, of weights that may be missing, unexpected or of another shape:
   * `predictions/*` loads all but the classifier. Missing weights are initialized from the network's seed. Default: none.
   */
  readonly allowMissing?: string | undefined;
  /** Weights that the file omits because they change nothing: those of a batch normalization that was folded. */
  readonly constants?: ReadonlyMap<string, number> | undefined;
}

/** Result of matching a file's weights to a network. */
export interface MappingReport extends WeightDifferences {
  /** Identification of layers: by name, by class and number, or only by order. */
  readonly by: "name" | "class" | "order";
  /** Number of weights loaded from the file. */
  readonly taken: number;
  /** Weights that are missing or of another shape, by name: they were initialized. */
  readonly initialized: readonly string[];
}

/**
 * Loads the weights of a file into a network: all of them and no others, except those that `allowMissing` lets differ.
 * @throws {WeightsError} with up to three lists: missing, unexpected, wrong shape.
 */
export function mapWeights(
  network: Network,
  stored: readonly StoredLayer[],
  options: MapOptions,
): { readonly weights: Weights; readonly report: MappingReport } {
  const { where, allowMissing, constants = new Map<string, number>() } = options;
  const specsOf = ({ weights }: Layer): readonly WeightSpec[] => weights.filter(({ name }) => !constants.has(name));
  const layers = network.layers.filter((layer) => specsOf(layer).length > 0);
  const tolerated = allowMissing === undefined ? () => false : weightMatcher(allowMissing);
  const required = layers.filter((layer) => specsOf(layer).some(({ name }) => !tolerated(name)));
  const { by, pairs, unpaired } = pairLayers(layers, stored, where, required);

  const received = new Map<string, FloatTensor>();
  const absent = new Map<string, readonly string[]>();
  const receive = (name: string, stored: StoredWeight): void => {
    if (stored.tensor) received.set(name, stored.tensor);
    else if (stored.absent) absent.set(name, stored.absent);
  };
  for (const [layer, { weights }] of pairs) {
    const specs = specsOf(layer);
    // A surplus weight keeps its name in the file.
    weights.forEach((stored, index) => {
      receive(specs[index]?.name ?? stored.path, stored);
    });
  }
  for (const stored of unpaired.flatMap(({ weights }) => weights)) receive(stored.path, stored);

  const expected = layers.flatMap(specsOf);
  const differences = weightDifferences(expected, received);
  checkWeights(
    where,
    expected.filter(({ name }) => !tolerated(name)),
    new Map([...received].filter(([name]) => !tolerated(name))),
    absent.size > 0 ? "Add the files, or allow the weights to be missing." : undefined,
    absent,
  );

  const fits = ({ name, shape }: WeightSpec) => sameShape(received.get(name)?.shape ?? [], shape);
  const initialized = expected.filter((spec) => !fits(spec)).map(({ name }) => name);
  const taken = expected.length - initialized.length;
  if (taken === 0) checkWeights(where, expected, received);
  const weights = networkWeights(network).map((spec): [string, FloatTensor] => {
    const constant = constants.get(spec.name);
    if (constant !== undefined) return [spec.name, filledTensor(spec.shape, constant)];
    return [spec.name, fits(spec) ? received.get(spec.name)! : initialWeight(spec, network.seed)];
  });
  return { weights: new Map(weights), report: { by, taken, initialized, ...differences } };
}

/** Layers of a network, each with its counterpart in a file. */
interface Pairing {
  readonly by: MappingReport["by"];
  readonly pairs: readonly (readonly [Layer, StoredLayer])[];
  /** Layers of the file that are not in the network. */
  readonly unpaired: readonly StoredLayer[];
}

/**
 * Pairs the layers of a network with those of a file: by name if all names agree; else by class and number in files that
 * have them; else by order if there are equally many layers, since automatic names (`conv2d_7`) continue through a Keras
 * session and mean nothing but an order. If the numbers of layers differ, only names remain: those chosen by authors,
 * and automatic ones in order where both have equally many of a class.
 * @param layers those of the network that have weights.
 * @param required those among them that the file must have: it may have only these.
 * @throws {WeightsError} by order, a layer would get the weights of another one that has its name.
 */
function pairLayers(
  layers: readonly Layer[],
  stored: readonly StoredLayer[],
  where: string,
  required: readonly Layer[],
): Pairing {
  const names = layers.map(({ name }) => name);
  const byName = pairBy("name", layers, names, stored, ({ name }) => name);
  if (isComplete(byName, layers)) return byName;
  const aliases = kerasClassNumbers(layers.map(({ config }) => config.type));
  const byClass = pairBy("class", layers, aliases, stored, ({ alias }) => alias);
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
  names: readonly string[],
  stored: readonly StoredLayer[],
  storedName: (layer: StoredLayer) => string | undefined,
): Pairing {
  const candidates = new Map(stored.map((each) => [storedName(each), each]));
  const pairs = layers.flatMap((layer, index) => {
    const found = candidates.get(names[index]!);
    return found ? [[layer, found] as const] : [];
  });
  const paired = new Set(pairs.map(([, each]) => each));
  return { by, pairs, unpaired: stored.filter((each) => !paired.has(each)) };
}

function isComplete({ pairs, unpaired }: Pairing, layers: readonly Layer[]): boolean {
  return pairs.length === layers.length && unpaired.length === 0;
}

/** Pairs layers by name; automatic names of a class by order, if both sides have equally many. */
function pairNumbered(layers: readonly Layer[], stored: readonly StoredLayer[]): Pairing {
  const ours = numbered(layers);
  const theirs = numbered(stored);
  const renamed = new Map<StoredLayer, string>();
  for (const [kind, own] of ours) {
    const foreign = theirs.get(kind);
    if (foreign?.length !== own.length) continue;
    for (const [index, each] of foreign.entries()) renamed.set(each, own[index]!.name);
  }
  const names = layers.map(({ name }) => name);
  return pairBy("name", layers, names, stored, (each) => renamed.get(each) ?? each.name);
}

/** Layers with automatic names, by class, in the order of their numbers. */
function numbered<T extends { readonly name: string }>(layers: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const found = new Map<string, { readonly layer: T; readonly number: number }[]>();
  for (const layer of layers) {
    const match = automaticName.exec(layer.name);
    if (!match) continue;
    // Keras 1 wrote the words out and together.
    const kind = match[1]!.replace("convolution", "conv").replaceAll("_", "");
    found.set(kind, [...(found.get(kind) ?? []), { layer, number: Number(match[2] ?? 0) }]);
  }
  return new Map(
    [...found].map(([kind, each]) => [kind, each.sort((a, b) => a.number - b.number).map(({ layer }) => layer)]),
  );
}

/** Automatic names of Keras, in today's and its first version. */
const automaticName =
  /^(conv2d|convolution2d|separable_conv2d|separableconvolution2d|batch_normalization|batchnormalization|dense)(?:_(\d+))?$/;

/** Shapes alone do not distinguish two blocks of the same size. */
function assertUncrossed(pairs: Pairing["pairs"], where: string): void {
  const named = new Set(pairs.map(([layer]) => layer.name).filter((name) => !automaticName.test(name)));
  for (const [layer, stored] of pairs) {
    if (stored.name === layer.name || !named.has(stored.name)) continue;
    throw new WeightsError({
      where,
      what: `names and order of its layers disagree: "${stored.name}" is in the place of the network's "${layer.name}"`,
      expected: "the layers of this network in order",
    });
  }
}

/**
 * Numbers layers by class as Keras does where names do not matter: `conv2d`, `conv2d_1`, …
 * @param types their classes, in order.
 * @see keras/src/saving/saving_lib.py, `_save_container_state`
 */
export function kerasClassNumbers(types: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  return types.map((type) => {
    const count = counts.get(type) ?? 0;
    counts.set(type, count + 1);
    return count === 0 ? snakeCase(type) : `${snakeCase(type)}_${count}`;
  });
}

/** A layer's weights in a file. */
export interface StoredLayer {
  readonly name: string;
  /** Its class and its number among the layers of this class, in files that number layers: `conv2d_1`. */
  readonly alias?: string;
  /** In the file's order, which in Keras files is that of the layer. */
  readonly weights: readonly StoredWeight[];
}

export interface StoredWeight {
  /** Its place in the file, for messages. */
  readonly path: string;
  /** Undefined if it is missing, or in a missing file. */
  readonly tensor?: FloatTensor;
  /** Names of the missing files. */
  readonly absent?: readonly string[];
}

/** A network's weights in the form in which files are read: the layers that have weights, in order. */
export function storedLayersOf(network: Network, weights: Weights): readonly StoredLayer[] {
  return network.layers.flatMap(({ name, weights: specs }): StoredLayer[] => {
    const stored = specs.map((spec) => ({ path: spec.name, tensor: weights.get(spec.name)! }));
    return stored.length > 0 ? [{ name, weights: stored }] : [];
  });
}

/** Names and shapes of weights in a file. */
export function shapesOf(layers: readonly StoredLayer[]) {
  return layers.flatMap(({ weights }) =>
    weights.map(({ path, tensor }) => ({ name: path, shape: tensor?.shape ?? null })),
  );
}

/**
 * Returns a test of names against comma-separated patterns, `*` for anything: `block14_*,predictions/*`.
 * @example weightMatcher("block1_*")("block1_conv1/kernel") // true
 */
export function weightMatcher(patterns: string): (name: string) => boolean {
  const escaped = patterns.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*");
  const expression = new RegExp(`^(${escaped.split(",").join("|")})$`);
  return (name) => expression.test(name);
}
