import { UsageError } from "../base/errors.ts";
import { oneOf } from "../base/kinds.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import type { Shape } from "../tensor/shape.ts";
import {
  type Architecture,
  type ArchitectureName,
  architectureNamed,
  buildNetwork,
  families,
  familyNamed,
  nameOfArchitecture,
  type PortDifference,
  portDifferences,
} from "./registry.ts";
import type { TimmWeights } from "./timm-entries.ts";

/** An entry of the `state_dict` of a network of timm. */
export interface TimmName {
  /** E.g. `block1.rep.0.conv1.weight`. */
  readonly name: string;
  /** Our weight of the same meaning; `graph/torch-layout.ts` translates its layout. Undefined for counters. */
  readonly weight: WeightSpec | undefined;
}

/** Families with networks in timm. */
const timmFamilies: readonly TimmWeights[] = families.flatMap(({ timm }) => timm ?? []);

/**
 * The `state_dict` of timm's network of the same architecture, in its order. Each batch normalization has a counter that
 * is not read here, the int64 scalar `num_batches_tracked`.
 * @throws {UsageError} timm has no such network.
 */
export function timmNames(architecture: Architecture): readonly TimmName[] {
  return timmNamesOf(buildNetwork(architecture));
}

/**
 * Same as {@link timmNames}, for an existing network.
 * @throws {UsageError} timm has no network with these layers.
 */
export function timmNamesOf(network: Network): readonly TimmName[] {
  const specs = new Map(networkWeights(network).map((spec) => [spec.name, spec]));
  const entries = timmFamilies.flatMap((timm) => [...timm.entries(network)]);
  const wanted = new Set(entries.flatMap(([, weight]) => weight ?? []));
  const stranger = [...specs.keys()].find((name) => !wanted.has(name)) ?? [...wanted].find((name) => !specs.has(name));
  if (stranger !== undefined) {
    const names = timmFamilies.flatMap(({ cropRatios }) => Object.keys(cropRatios));
    throw new UsageError({
      where: `names of timm for network "${network.name}"`,
      what: `timm has no such network: layer "${stranger.replace(/\/.*/, "")}" differs`,
      expected: `the layers of ${oneOf(names)}`,
    });
  }
  return entries.map(([name, weight]) => ({ name, weight: weight === undefined ? undefined : specs.get(weight)! }));
}

/** Returns whether an entry of a `state_dict` belongs to a part of timm's network that only its training uses. */
export function isUnusedInTimm(entry: string): boolean {
  return timmFamilies.some((timm) => timm.isUnused?.(entry));
}

/** A network of timm, and its crop ratio. */
export interface TimmNetwork {
  readonly name: ArchitectureName;
  readonly architecture: Architecture;
  /** Share of an image's side that timm keeps after resizing (`crop_pct` of the weights it publishes). */
  readonly cropRatio: number;
}

/**
 * Identifies the timm network of a `state_dict` by names and shapes, with its number of classes (none without a
 * classifier) and of input channels.
 * @param inputShape shape of the images, which weights do not determine; default 299×299.
 * @returns undefined for any other network, including those of another width or depth.
 */
export function recognizeTimm(shapes: ReadonlyMap<string, Shape>, inputShape?: Shape): TimmNetwork | undefined {
  for (const timm of timmFamilies) {
    const found = timm.recognize(shapes);
    const stem = found && shapes.get(found.stem);
    if (found === undefined || stem?.length !== 4) continue;
    const name = found.name as ArchitectureName;
    const classifier = shapes.get(found.classifier);
    const [height = 299, width = 299, channels = stem[1]!] = inputShape ?? [];
    const top = classifier === undefined ? { includeTop: false } : { classes: classifier[0]! };
    const architecture = architectureNamed(name, { inputShape: [height, width, channels], ...top });
    return { name, architecture, cropRatio: timm.cropRatios[name] ?? 1 };
  }
  return undefined;
}

/** The options in which timm's implementation of a network differs from an architecture. */
export function timmDifferences(architecture: Architecture): readonly PortDifference[] {
  const name = nameOfArchitecture(architecture);
  const ported = Object.keys((name && familyNamed(name).timm?.cropRatios) ?? {}) as readonly ArchitectureName[];
  const [port] = ported;
  if (name === undefined || port === undefined || ported.includes(name)) return [];
  return portDifferences(architectureNamed(port), architecture);
}
