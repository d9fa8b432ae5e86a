import { WeightsError } from "../base/errors.ts";
import type { Source, SourceReader } from "../base/platform.ts";
import { initialWeight } from "../graph/initialize.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import { checkWeights } from "../graph/weights.ts";
import { layerAt, topIndex, topOn } from "../models/parts.ts";
import type { Architecture } from "../models/registry.ts";
import { sameShape } from "../tensor/shape.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
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
  const { taken, initialized } = report;
  return { file, format, tensors: taken, headOn: headOn ?? null, reinitialized: initialized, origin: { ...origin } };
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
  const load = (of: Network, allowed: string) => weightsFor(of, file, { where, allowMissing: allowed });
  const labels = file.metadata?.labels;
  const complete = (loaded: LoadedWeights, of: Network, attachedTo?: string): StartingWeights => {
    const start = { ...loaded, network: of, headOn: attachedTo, preprocessing: file.metadata?.preprocessing, origin };
    return classes && labels ? fitClassifier(start, labels, classes) : start;
  };
  let failure: unknown;
  if (headOn === undefined) {
    const classifier = network.layers.findLast(({ config }) => config.type === "Dense");
    const patterns = [allowMissing, classifier && `${classifier.name}/*`].filter((each) => each !== undefined);
    try {
      return complete(load(network, patterns.join(",")), network);
    } catch (error) {
      if (!(error instanceof WeightsError) || allowMissing !== undefined) throw error;
      failure = error;
    }
  }
  const loaded = load(network, "*");
  const place = headOn ?? lastReached(network, loaded);
  if (place === undefined) throw failure;
  const { name } = layerAt(network, place);
  const shorter = topOn(network, name);
  // Order and numbering of layers only make sense for the whole network, unless the file is of the truncated one.
  const part = selectWeights(shorter, loaded);
  const own = file.describedNetwork ? load(shorter, "*") : part;
  const best = own.report.initialized.length < part.report.initialized.length ? own : part;
  assertBodyFound(shorter, best, where);
  // The rest of the file belongs to the removed layers.
  return complete({ ...best, report: { ...best.report, unexpected: [] } }, shorter, name);
}

/** Reorders the file's classifier if its labels are the classes in another order; reinitializes it if they are others. */
function fitClassifier(start: StartingWeights, labels: readonly string[], classes: readonly string[]): StartingWeights {
  const { network, report, notes } = start;
  const { taken, missing, initialized } = report;
  const specs = network.layers.findLast(({ config }) => config.type === "Dense")?.weights ?? [];
  const found = specs.map(({ name }) => name).filter((name) => !initialized.includes(name));
  const isSame = labels.length === classes.length && labels.every((label, index) => label === classes[index]);
  if (isSame || found.length === 0) return start;
  const order = classes.map((label) => labels.indexOf(label));
  const isReordered = labels.length === classes.length && !order.includes(-1);
  const replaced = specs.map((spec): [string, FloatTensor] => [
    spec.name,
    isReordered ? reorderLast(start.weights.get(spec.name)!, order) : initialWeight(spec, network.seed),
  ]);
  const without = {
    taken: taken - found.length,
    missing: [...missing, ...found],
    initialized: [...initialized, ...found],
  };
  return {
    ...start,
    weights: new Map([...start.weights, ...replaced]),
    report: isReordered ? report : { ...report, ...without },
    notes: [
      ...notes,
      isReordered
        ? "The file has the same classes in another order; its classifier was reordered."
        : `The file's classes are not those of the images: ${labels.slice(0, 5).join(", ")}${labels.length > 5 ? ", …" : ""}.`,
    ],
  };
}

/** Gathers along the last axis: position i of the result is position `order[i]` of the tensor. */
function reorderLast(tensor: FloatTensor, order: readonly number[]): FloatTensor {
  const { data } = tensor;
  const count = order.length;
  return { ...tensor, data: data.map((_, index) => data[index - (index % count) + order[index % count]!]!) };
}

/** Selects the weights of a truncated network from those of the whole one; others are initialized. */
function selectWeights(shorter: Network, { weights, report, ...rest }: LoadedWeights): LoadedWeights {
  const specs = networkWeights(shorter);
  const before = new Set(report.initialized);
  const fits = ({ name, shape }: WeightSpec) => sameShape(weights.get(name)!.shape, shape);
  const initialized = specs.filter((spec) => before.has(spec.name) || !fits(spec)).map(({ name }) => name);
  const taken = specs.length - initialized.length;
  return {
    ...rest,
    weights: new Map(
      specs.map((spec) => [spec.name, fits(spec) ? weights.get(spec.name)! : initialWeight(spec, shorter.seed)]),
    ),
    report: { by: report.by, taken, initialized, missing: initialized, unexpected: [], wrongShape: [] },
  };
}

/** @throws {WeightsError} weights below the top were initialized. */
function assertBodyFound(network: Network, { weights, report }: LoadedWeights, where: string): void {
  const body = partsOf(network).body.flatMap((layer) => layer.weights);
  const found = body.filter(({ name }) => !report.initialized.includes(name));
  checkWeights(where, body, new Map(found.map(({ name }) => [name, weights.get(name)!])));
}

/**
 * The last layer of feature maps that depends on no missing weight, if all that is missing comes after it, nothing has
 * another shape, and at least half of the layers that have weights come before: otherwise it is probably the wrong file.
 */
function lastReached(network: Network, { report }: LoadedWeights): string | undefined {
  const { body, top } = partsOf(network);
  const missing = new Set(report.missing);
  const initialized = new Set(report.initialized);
  const complete = new Set<string>();
  for (const { name, inbound, weights } of body) {
    if (inbound.every((source) => complete.has(source)) && !weights.some((spec) => initialized.has(spec.name)))
      complete.add(name);
  }
  const reached = body.slice(0, body.findLastIndex(({ name }) => complete.has(name)) + 1);
  const differs = body.some(({ weights }) => weights.some(({ name }) => initialized.has(name) && !missing.has(name)));
  const isWhole = top.length > 0 && !differs && reached.every(({ name }) => complete.has(name));
  const weighted = (layers: Network["layers"]) => layers.filter(({ weights }) => weights.length > 0).length;
  return isWhole && 2 * weighted(reached) >= weighted(body) ? reached.at(-1)?.name : undefined;
}

/** The layers before the last global pooling, and the rest. */
function partsOf(network: Network): { readonly body: Network["layers"]; readonly top: Network["layers"] } {
  const index = topIndex(network) ?? network.layers.length;
  return { body: network.layers.slice(0, index), top: network.layers.slice(index) };
}
