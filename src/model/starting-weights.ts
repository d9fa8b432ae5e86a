import { WeightsError } from "../base/errors.ts";
import type { Source, SourceReader } from "../base/platform.ts";
import { initializeWeights } from "../graph/initialize.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import { checkWeights } from "../graph/weights.ts";
import { topIndex, topOn } from "../models/parts.ts";
import type { Architecture } from "../models/registry.ts";
import { sameShape } from "../tensor/shape.ts";
import type { WeightsFile } from "./formats.ts";
import { openWeightsFile } from "./formats.ts";
import type { ImagePreprocessing, Provenance } from "./model.ts";
import { type LoadedWeights, type LoadWeightsOptions, ownArchitecture, weightsFor } from "./open-weights.ts";
import { weightsSource } from "./weights-file.ts";

export interface StartingWeightsOptions extends LoadWeightsOptions {
  /**
   * Layer or block to attach the classifier to; later layers are removed. Default: its original place or, if the
   * weights lack everything after some layer, that layer, unless `allowMissing` allows them to be missing.
   */
  readonly headOn?: string | undefined;
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
  readonly origin: StartingWeights["origin"];
}

/**
 * Opens weights to start training from.
 * @param source `imagenet` selects the ImageNet weights of keras.applications.Xception.
 * @param options `classes`: number of classes; with 1000, `imagenet` includes its classifier.
 * @throws {FileError} the file does not exist, or cannot be read.
 * @throws {FormatError} it is in no known format, or damaged.
 */
export async function openStartingFile(
  source: Source,
  platform: SourceReader,
  { classes }: { readonly classes?: number | undefined },
): Promise<StartingFile> {
  const opened = await weightsSource(source, platform, { includeTop: classes === 1000 });
  const file = await openWeightsFile(opened);
  const { license, provenance } = opened.origin ?? file.metadata ?? {};
  return {
    where: opened.where,
    file,
    architecture: file.describedNetwork && ownArchitecture(file),
    origin: { ...(license !== undefined && { license }), ...(provenance !== undefined && { provenance }) },
  };
}

/**
 * Weights to start training from: those of a file, whose classifier may be missing or have other classes; the network's
 * classifier is then reinitialized from the network's seed.
 * @param source `imagenet` selects the ImageNet weights of keras.applications.Xception.
 * @throws as `loadWeights`.
 * @throws {UsageError} the classifier cannot be attached to the given layer.
 */
export async function startingWeights(
  network: Network,
  source: Source,
  platform: SourceReader,
  options: StartingWeightsOptions = {},
): Promise<StartingWeights> {
  const classifier = classifierOf(network);
  const classes = classifier?.config.type === "Dense" ? classifier.config.units : undefined;
  const opened = await openStartingFile(source, platform, { classes });
  return startingWeightsIn(network, opened, options);
}

/**
 * As {@link startingWeights}, from an open file.
 * @throws {WeightsError} its weights are not those of the network.
 * @throws {UsageError} the classifier cannot be attached to the given layer.
 */
export function startingWeightsIn(
  network: Network,
  { file, where, origin }: StartingFile,
  { allowMissing, headOn }: StartingWeightsOptions = {},
): StartingWeights {
  const classifier = classifierOf(network);
  const patterns = [allowMissing, classifier && `${classifier.name}/*`].filter((each) => each !== undefined);
  const said = { preprocessing: file.metadata?.preprocessing, origin };
  const whatIsThere = (of: Network) => weightsFor(of, file, { where, allowMissing: "*" });
  const upTo = (place: string): StartingWeights => {
    const shorter = topOn(network, place);
    const own = file.describedNetwork && takenUpTo(shorter, whatIsThere(shorter));
    // Order and numbering of layers only make sense for the whole network, unless the file is of the truncated one.
    const part = takenUpTo(shorter, whatIsThere(network));
    const best = own !== undefined && own.report.taken > part.report.taken ? own : part;
    assertNothingMissing(shorter, best, where);
    return { ...best, network: shorter, headOn: topLayers(shorter)[0]!.inbound[0]!, ...said };
  };
  if (headOn !== undefined) return upTo(headOn);
  try {
    const loaded = weightsFor(network, file, {
      where,
      allowMissing: patterns.length > 0 ? patterns.join(",") : undefined,
    });
    return { ...loaded, network, headOn: undefined, ...said };
  } catch (error) {
    if (!(error instanceof WeightsError) || allowMissing !== undefined) throw error;
    const reached = lastReached(network, whatIsThere(network));
    if (reached === undefined) throw error;
    return upTo(reached);
  }
}

function classifierOf({ layers }: Network): Network["layers"][number] | undefined {
  return layers.findLast(({ config }) => config.type === "Dense");
}

/** Selects the weights of a truncated network from those of the whole one, or of itself. */
function takenUpTo(shorter: Network, loaded: LoadedWeights): LoadedWeights {
  const specs = networkWeights(shorter);
  const own = new Map(specs.map((spec) => [spec.name, spec]));
  const isReinitialized = reinitializedIn(loaded);
  const fits = ({ name, shape }: WeightSpec) =>
    !isReinitialized(name) && sameShape(loaded.weights.get(name)!.shape, shape);
  const drawn = initializeWeights(shorter);
  const { report } = loaded;
  const isOwn = (entry: string) => own.has(nameIn(entry));
  const wrongShape = report.wrongShape.filter(isOwn);
  const told = new Set([...report.missing, ...wrongShape.map(nameIn)]);
  return {
    ...loaded,
    weights: new Map(specs.map((spec) => [spec.name, (fits(spec) ? loaded.weights : drawn).get(spec.name)!])),
    report: {
      ...report,
      taken: specs.filter(fits).length,
      missing: specs
        .filter((spec) => report.missing.includes(spec.name) || (!fits(spec) && !told.has(spec.name)))
        .map(({ name }) => name),
      wrongShape,
      // The rest of the file belongs to the removed layers.
      unexpected: [],
    },
  };
}

/** @throws {WeightsError} weights below the top are missing. */
function assertNothingMissing(network: Network, loaded: LoadedWeights, where: string): void {
  const isReinitialized = reinitializedIn(loaded);
  const top = new Set(topLayers(network).flatMap(({ weights }) => weights.map(({ name }) => name)));
  const body = networkWeights(network).filter(({ name }) => !top.has(name));
  checkWeights(where, body, new Map([...loaded.weights].filter(([name]) => !top.has(name) && !isReinitialized(name))));
}

/**
 * The last layer of feature maps that depends on no missing weight, if all that is missing comes after it, nothing has
 * another shape, and at least half of the layers that have weights come before: else it is rather the wrong file.
 */
function lastReached(network: Network, loaded: LoadedWeights): string | undefined {
  const isReinitialized = reinitializedIn(loaded);
  const top = topLayers(network);
  const bodyLayers = network.layers.slice(0, network.layers.length - top.length);
  const complete = new Set<string>();
  for (const { name, inbound, weights } of bodyLayers) {
    if (inbound.every((source) => complete.has(source)) && !weights.some((spec) => isReinitialized(spec.name)))
      complete.add(name);
  }
  const last = bodyLayers.findLast(({ name }) => complete.has(name));
  if (last === undefined || top.length === 0) return undefined;
  const reached = bodyLayers.slice(0, bodyLayers.indexOf(last) + 1);
  const topNames = new Set(top.flatMap(({ weights }) => weights.map(({ name }) => name)));
  const differs = loaded.report.wrongShape.some((entry) => !topNames.has(nameIn(entry)));
  const isWhole = !differs && reached.every(({ name }) => complete.has(name));
  const weighted = (layers: Network["layers"]) => layers.filter(({ weights }) => weights.length > 0).length;
  return isWhole && 2 * weighted(reached) >= weighted(bodyLayers) ? last.name : undefined;
}

function topLayers(network: Network): Network["layers"] {
  const index = topIndex(network);
  return index === undefined ? [] : network.layers.slice(index);
}

function reinitializedIn({ report }: LoadedWeights): (name: string) => boolean {
  const reinitialized = new Set([...report.missing, ...report.wrongShape.map(nameIn)]);
  return (name) => reinitialized.has(name);
}

/** The weight's name in a report entry, which may contain more: `a/kernel (3×3 instead of 5×5)`. */
function nameIn(entry: string): string {
  return entry.replace(/ \(.*\)$/, "");
}
