import { WeightsError } from "../base/errors.ts";
import type { Source, SourceReader } from "../base/platform.ts";
import { initializeWeights, type Weights } from "../graph/initialize.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import { checkWeights } from "../graph/weights.ts";
import { topIndex, topOn } from "../models/parts.ts";
import type { Architecture } from "../models/registry.ts";
import { sameShape } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";
import { openWeightsFile, type WeightsFile } from "./formats.ts";
import type { ImagePreprocessing, Provenance } from "./model.ts";
import { type LoadedWeights, type LoadWeightsOptions, ownArchitecture, weightsFor } from "./open-weights.ts";
import type { WhoseWeights } from "./published-weights.ts";
import { weightsSource } from "./weights-file.ts";

interface StartingWeightsOptions extends LoadWeightsOptions {
  /**
   * Layer or block to attach the classifier to; later layers are removed. Default: its original place or, if the
   * weights lack everything after some layer, that layer, unless `allowMissing` allows them to be missing.
   */
  readonly headOn?: string | undefined;
  /** Labels of the classes, in their order; default: those of the file. */
  readonly classes?: readonly string[] | undefined;
}

export interface StartingWeights extends LoadedWeights {
  /** The network for these weights: the given one, or a truncated one. */
  readonly network: Network;
  /** The layer that the classifier is attached to, if not its original place. */
  readonly headOn: string | undefined;
  /** Preprocessing for these weights, if the file specifies it. */
  readonly preprocessing: ImagePreprocessing | undefined;
  /** Their license and provenance, if the file states them. */
  readonly origin: Provenance;
}

/** Record of the weights that a training run started from. */
export interface StartingPoint {
  /** Name of the file, its format, and the number of weights loaded from it. */
  readonly file: string;
  readonly format: string;
  readonly tensors: number;
  /** The layer that the classifier is attached to; null: its original place. */
  readonly headOn: string | null;
  /** Weights that were reinitialized. */
  readonly reinitialized: readonly string[];
  /** License and provenance of the weights, as far as the file states them. */
  readonly origin: Provenance;
}

/** Returns the record of weights loaded from a file. */
export function startingPointOf({ headOn, format, report, origin }: StartingWeights, file: string): StartingPoint {
  const { taken, missing, wrongShape } = report;
  return {
    file,
    format,
    tensors: taken,
    headOn: headOn ?? null,
    reinitialized: [...missing, ...wrongShape.map(nameIn)],
    origin: { ...origin },
  };
}

/** An open file of weights to start from. */
export interface StartingFile {
  /** Name in errors. */
  readonly where: string;
  readonly file: WeightsFile;
  /** Its architecture, if the file names one of ours. */
  readonly architecture: Architecture | undefined;
  readonly origin: Provenance;
}

/**
 * Opens weights to start training from.
 * @param source `imagenet` selects the ImageNet weights of keras.applications.
 * @param options `architecture`: the network whose weights `imagenet` means; `classes`: number of classes; with 1000, `imagenet`
 * includes its classifier; `key`: as in `loadWeights`.
 * @throws {FileError} the file does not exist, or cannot be read.
 * @throws {FormatError} it is in no known format, or damaged.
 */
export async function openStartingFile(
  source: Source,
  platform: SourceReader,
  options: {
    readonly architecture?: WhoseWeights;
    readonly classes?: number | undefined;
    readonly key?: string | undefined;
  },
): Promise<StartingFile> {
  const { architecture, classes, key } = options;
  const opened = await weightsSource(source, platform, { architecture, includeTop: classes === 1000, key });
  const file = await openWeightsFile(opened);
  const { license, provenance, quantization } = file.metadata ?? {};
  if (quantization !== undefined) {
    throw new WeightsError({
      where: opened.where,
      what: "its weights are int8 and its batch normalizations folded, so that it cannot be trained",
      remedy: "Start from the float32 model that it was quantized from.",
    });
  }
  return {
    where: opened.where,
    file,
    architecture: file.describedNetwork && ownArchitecture(file),
    origin: { ...(license !== undefined && { license }), ...(provenance !== undefined && { provenance }) },
  };
}

/**
 * Loads weights to start training from. The file may lack the classifier or have one for other classes; it is then
 * reinitialized from the network's seed. A classifier of the same classes in another order is reordered.
 * @throws {WeightsError} its weights are not those of the network.
 * @throws {UsageError} the classifier cannot be attached to the given layer.
 */
export function startingWeightsIn(
  network: Network,
  { file, where, origin }: StartingFile,
  { allowMissing, headOn, classes }: StartingWeightsOptions = {},
): StartingWeights {
  const labels = file.metadata?.labels;
  const fitted = (start: StartingWeights) => (classes && labels ? fitClassifier(start, labels, classes) : start);
  const classifier = network.layers.findLast(({ config }) => config.type === "Dense");
  const patterns = [allowMissing, classifier && `${classifier.name}/*`].filter((each) => each !== undefined);
  const about = { preprocessing: file.metadata?.preprocessing, origin };
  const available = (of: Network) => weightsFor(of, file, { where, allowMissing: "*" });
  const upTo = (place: string, loaded?: LoadedWeights): StartingWeights => {
    const shorter = topOn(network, place);
    const initial = initializeWeights(shorter);
    const own = file.describedNetwork && selectWeights(shorter, available(shorter), initial);
    // Order and numbering of layers only make sense for the whole network, unless the file is of the truncated one.
    const part = selectWeights(shorter, loaded ?? available(network), initial);
    const best = own !== undefined && own.report.taken > part.report.taken ? own : part;
    assertNothingMissing(shorter, best, where);
    return fitted({ ...best, network: shorter, headOn: partsOf(shorter).top[0]!.inbound[0]!, ...about });
  };
  if (headOn !== undefined) return upTo(headOn);
  try {
    const options = { where, allowMissing: patterns.length > 0 ? patterns.join(",") : undefined };
    return fitted({ ...weightsFor(network, file, options), network, headOn: undefined, ...about });
  } catch (error) {
    if (!(error instanceof WeightsError) || allowMissing !== undefined) throw error;
    const loaded = available(network);
    const reached = lastReached(network, loaded);
    if (reached === undefined) throw error;
    return upTo(reached, loaded);
  }
}

/** Reorders the file's classifier if its labels are the classes in another order; reinitializes it if they are others. */
function fitClassifier(start: StartingWeights, labels: readonly string[], classes: readonly string[]): StartingWeights {
  const { network, report, notes } = start;
  const found = foundIn(start);
  const own = (network.layers.findLast(({ config }) => config.type === "Dense")?.weights ?? []).map(({ name }) => name);
  const isSame = labels.length === classes.length && labels.every((label, index) => label === classes[index]);
  if (isSame || own.length === 0 || !own.every((name) => found.has(name))) return start;
  const order = classes.map((label) => labels.indexOf(label));
  const isReordered = labels.length === classes.length && !order.includes(-1);
  const initial = isReordered ? undefined : initializeWeights(network);
  const replaced = (name: string) => initial?.get(name) ?? reorderLast(found.get(name)!, order);
  return {
    ...start,
    weights: new Map([...start.weights].map(([name, each]) => [name, own.includes(name) ? replaced(name) : each])),
    report: isReordered
      ? report
      : { ...report, taken: report.taken - own.length, missing: [...report.missing, ...own] },
    notes: [
      ...notes,
      isReordered
        ? "The file has the same classes in another order; its classifier was reordered."
        : `The file's classes are not those of the images: ${labels.slice(0, 5).join(", ")}${labels.length > 5 ? ", …" : ""}.`,
    ],
  };
}

/** Gathers along the last axis: position i of the result is position `order[i]` of the tensor. */
function reorderLast({ shape, data }: FloatTensor, order: readonly number[]): FloatTensor {
  const count = order.length;
  return floatTensor(
    shape,
    data.map((_, index) => data[index - (index % count) + order[index % count]!]!),
  );
}

/** Selects the weights of a truncated network from those of the whole one, or of itself; others are the initial ones. */
function selectWeights(shorter: Network, loaded: LoadedWeights, initial: Weights): LoadedWeights {
  const specs = networkWeights(shorter);
  const names = new Set(specs.map(({ name }) => name));
  const found = foundIn(loaded);
  const fits = ({ name, shape }: WeightSpec) => found.has(name) && sameShape(found.get(name)!.shape, shape);
  const wrongShape = loaded.report.wrongShape.filter((entry) => names.has(nameIn(entry)));
  const wrong = new Set(wrongShape.map(nameIn));
  return {
    ...loaded,
    weights: new Map(specs.map((spec) => [spec.name, (fits(spec) ? found : initial).get(spec.name)!])),
    report: {
      ...loaded.report,
      taken: specs.filter(fits).length,
      missing: specs.filter((spec) => !fits(spec) && !wrong.has(spec.name)).map(({ name }) => name),
      wrongShape,
      // The rest of the file belongs to the removed layers.
      unexpected: [],
    },
  };
}

/** @throws {WeightsError} weights below the top are missing. */
function assertNothingMissing(network: Network, loaded: LoadedWeights, where: string): void {
  const top = new Set(partsOf(network).top.flatMap(({ weights }) => weights.map(({ name }) => name)));
  const body = networkWeights(network).filter(({ name }) => !top.has(name));
  checkWeights(where, body, new Map([...foundIn(loaded)].filter(([name]) => !top.has(name))));
}

/**
 * The last layer of feature maps that depends on no missing weight, if all that is missing comes after it, nothing has
 * another shape, and at least half of the layers that have weights come before: otherwise it is probably the wrong file.
 */
function lastReached(network: Network, loaded: LoadedWeights): string | undefined {
  const found = foundIn(loaded);
  const { body, top } = partsOf(network);
  const complete = new Set<string>();
  for (const { name, inbound, weights } of body) {
    if (inbound.every((source) => complete.has(source)) && weights.every((spec) => found.has(spec.name)))
      complete.add(name);
  }
  const reached = body.slice(0, body.findLastIndex(({ name }) => complete.has(name)) + 1);
  const topNames = new Set(top.flatMap(({ weights }) => weights.map(({ name }) => name)));
  const differs = loaded.report.wrongShape.some((entry) => !topNames.has(nameIn(entry)));
  const isWhole = top.length > 0 && !differs && reached.every(({ name }) => complete.has(name));
  const weighted = (layers: Network["layers"]) => layers.filter(({ weights }) => weights.length > 0).length;
  return isWhole && 2 * weighted(reached) >= weighted(body) ? reached.at(-1)?.name : undefined;
}

/** The layers before the last global pooling, and the rest. */
function partsOf(network: Network): { readonly body: Network["layers"]; readonly top: Network["layers"] } {
  const index = topIndex(network) ?? network.layers.length;
  return { body: network.layers.slice(0, index), top: network.layers.slice(index) };
}

/** The weights that were in the file. */
function foundIn({ weights, report }: LoadedWeights): Weights {
  const initialized = new Set([...report.missing, ...report.wrongShape.map(nameIn)]);
  return new Map([...weights].filter(([name]) => !initialized.has(name)));
}

/** The weight's name in a report entry, which may contain more: `a/kernel (3×3 instead of 5×5)`. */
function nameIn(entry: string): string {
  return entry.replace(/ \(.*\)$/, "");
}
