import { type WeightDifferences, WeightsError } from "../errors.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import { type Layer, type Network, networkWeights } from "../graph/network.ts";
import { checkWeights } from "../graph/weights.ts";
import { formatShape, type Shape, sameShape } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";
import { initializeWeights, type Weights } from "./initialize.ts";
import { type Pairing, pairLayers } from "./pair-layers.ts";
import type { StoredLayer, StoredWeight } from "./stored-layers.ts";
import { weightMatcher } from "./weight-pattern.ts";

export interface MapOptions {
  /** What errors call the file. */
  readonly where: string;
  /**
   * Patterns of weights that may be missing, unexpected or of another shape, `*` for anything, with commas between them:
   * `predictions/*` takes all but the classifier. What is missing then starts as for training from scratch. Default: none.
   */
  readonly allowMissing?: string | undefined;
  /** Weights that the file leaves out because they are constant: a batch normalization without scale or center. */
  readonly constants?: ReadonlyMap<string, number> | undefined;
}

export interface MappedWeights {
  readonly weights: Weights;
  readonly report: MappingReport;
}

/** How a file's weights came into a network; what is missing in it or has another shape was drawn anew. */
export interface MappingReport extends WeightDifferences {
  /** How layers were told: by their names, by class and number, or by their order alone. */
  readonly by: Pairing["by"];
  /** How many weights were taken from the file. */
  readonly taken: number;
}

/**
 * Gives a network the weights of a file: all of them and no others, unless `allowMissing` says which may differ.
 * @throws {WeightsError} with up to three lists: missing, unexpected, wrong shape.
 */
export function mapWeights(network: Network, stored: readonly StoredLayer[], options: MapOptions): MappedWeights {
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
    // One too many has no place in the layer and goes by its name in the file.
    weights.forEach((stored, index) => {
      receive(specs[index]?.name ?? stored.path, stored);
    });
  }
  for (const stored of unpaired.flatMap(({ weights }) => weights)) receive(stored.path, stored);

  const expected = layers.flatMap(specsOf);
  const differences = compare(expected, received);
  const refused = (name: string): boolean => !tolerated(name);
  checkWeights(
    where,
    expected.filter(({ name }) => refused(name)),
    new Map([...received].filter(([name]) => refused(name))),
    absent.size > 0 ? "Put the files there, or allow the weights to be missing." : undefined,
    absent,
  );

  const usable = expected.filter(({ name, shape }) => sameShape(received.get(name)?.shape ?? [], shape));
  if (usable.length === 0 && expected.length > 0) {
    throw new WeightsError({ where, what: "none of its weights belongs to this network" });
  }
  const drawn = usable.length === expected.length ? undefined : initializeWeights(network);
  const weights = networkWeights(network).map(({ name, shape }): [string, FloatTensor] => {
    const constant = constants.get(name);
    if (constant !== undefined) return [name, filled(shape, constant)];
    const tensor = received.get(name);
    return [name, tensor && sameShape(tensor.shape, shape) ? tensor : drawn!.get(name)!];
  });
  return { weights: new Map(weights), report: { by, taken: usable.length, ...differences } };
}

function compare(expected: readonly WeightSpec[], received: ReadonlyMap<string, FloatTensor>) {
  const names = new Set(expected.map(({ name }) => name));
  return {
    missing: expected.filter(({ name }) => !received.has(name)).map(({ name }) => name),
    unexpected: [...received.keys()].filter((name) => !names.has(name)),
    wrongShape: expected
      .filter(({ name, shape }) => received.has(name) && !sameShape(received.get(name)!.shape, shape))
      .map(({ name, shape }) => `${name} (${formatShape(received.get(name)!.shape)} instead of ${formatShape(shape)})`),
  };
}

function filled(shape: Shape, value: number): FloatTensor {
  const tensor = floatTensor(shape);
  tensor.data.fill(value);
  return tensor;
}
