import { FormatError } from "../base/errors.ts";
import type { Network } from "../graph/network.ts";
import { counted } from "../report/numbers.ts";
import { floatTensor } from "../tensor/tensor.ts";
import type { FoundLayers } from "./format.ts";
import {
  type ChannelStep,
  type GraphPart,
  type GraphStep,
  graphParts,
  networkSteps,
  type OwnWeight,
  type StepKind,
  sortedSteps,
} from "./graph-parts.ts";
import type { StoredLayer, StoredWeight } from "./map-weights.ts";

type Theirs = GraphPart<StoredWeight>;
type Ours = GraphPart<OwnWeight>;

/**
 * Assigns the weights of another tool's graph to the layers of a network. Parts of each kind (ordinary, depthwise and
 * pointwise convolutions, dense layers) are matched in order; each must then read the results of the counterparts of
 * what the network's layer reads, so that no layer gets the weights of another one of its size.
 *
 * A batch normalization that was folded into the convolution before it leaves a kernel and a bias: it becomes one that adds
 * the bias as beta and changes nothing else.
 * @throws {FormatError} the graph has other parts, or connects them differently.
 */
export function matchGraph(steps: readonly GraphStep<StoredWeight>[], network: Network, where: string): FoundLayers {
  const own = networkSteps(network);
  // Before any work that grows with the product of both: the file may have any size.
  assertSameParts(countKinds(steps), countKinds(own), where);
  const theirs = graphParts(sortedSteps(steps, where));
  const ours = graphParts(own);
  assertSameParts(countKinds(theirs), countKinds(ours), where);
  const partners = partnersOf(ours, theirs);
  assertSameConnections(partners, where);

  const received = new Map<string, StoredWeight>();
  const constants = new Map<string, number>();
  const unexpected: StoredWeight[] = [];
  let folded = 0;
  for (const [part, partner] of partners) {
    const give = (weight: OwnWeight | undefined, stored: StoredWeight | undefined): void => {
      if (weight && stored) received.set(weight.spec.name, stored);
      else if (stored) unexpected.push(stored);
    };
    give(part.kernel, partner.kernel);
    const bias = part.channelSteps[0]?.weight;
    const normalization = part.normalization;
    const { scale, offset } = combined(partner.channelSteps);
    const isFolded = normalization.length > 0 && partner.normalization.length === 0 && (scale ?? offset) !== undefined;
    if (!isFolded) {
      give(undefined, scale);
      give(bias, offset);
      for (const [index, stored] of partner.normalization.entries()) {
        const role = normalizationRoles[index]!;
        const weight = normalization.find(({ spec }) => spec.role === role);
        if (weight || !isNeutral(role, stored)) give(weight, stored);
      }
      continue;
    }
    folded++;
    for (const [name, value] of neutral(normalization, bias)) constants.set(name, value);
    for (const [role, stored] of [
      ["gamma", scale],
      ["beta", offset],
    ] as const) {
      if (stored === undefined) continue;
      const weight = normalization.find(({ spec }) => spec.role === role);
      if (weight) constants.delete(weight.spec.name);
      give(weight, stored);
    }
  }
  const layers = network.layers.map(({ name, weights }): StoredLayer => {
    return { name, weights: weights.flatMap((spec) => received.get(spec.name) ?? []) };
  });
  const others = unexpected.map((stored): StoredLayer => ({ name: stored.path, weights: [stored] }));
  const note =
    `The file's batch normalizations (${folded}) were folded into its kernels; they are set to neutral values here. ` +
    "Fine-tuning works; training statistics start over.";
  const found = [...layers, ...others].filter(({ weights }) => weights.length > 0);
  return { layers: found, constants, ...(folded > 0 && { notes: [note] }) };
}

const normalizationRoles = ["gamma", "beta", "movingMean", "movingVariance"] as const;

/** Returns whether a weight is what a normalization without gamma or beta has in its place in other tools. */
function isNeutral(role: (typeof normalizationRoles)[number], { tensor }: StoredWeight): boolean {
  return tensor?.data.every((value) => value === (role === "gamma" ? 1 : 0)) ?? false;
}

/** Values of a normalization that changes nothing, and of the bias of the convolution before it, which beta includes. */
function neutral(normalization: readonly OwnWeight[], bias: OwnWeight | undefined): readonly [string, number][] {
  const values = normalization.map(({ layer: { config }, spec }): [string, number] => {
    const epsilon = config.type === "BatchNormalization" ? config.epsilon : 0;
    // In float32, this plus epsilon is exactly 1: the sum is off by at most half the spacing of the numbers below 1, which
    // rounds to 1. So no factor remains, whereas √(variance + ε) as gamma would round twice.
    const variance = 1 - Math.fround(epsilon);
    const value = spec.role === "gamma" ? 1 : spec.role === "movingVariance" ? variance : 0;
    return [spec.name, value];
  });
  return bias ? [...values, [bias.spec.name, 0]] : values;
}

/** Combines several steps into one factor and then one offset for each channel. */
function combined(steps: readonly ChannelStep<StoredWeight>[]) {
  let scale: StoredWeight | undefined;
  let offset: StoredWeight | undefined;
  for (const { kind, weight } of steps) {
    if (kind === "offset") offset = offset ? joined(offset, weight, (a, b) => a + b) : weight;
    else {
      scale = scale ? joined(scale, weight, (a, b) => a * b) : weight;
      offset &&= joined(offset, weight, (a, b) => a * b);
    }
  }
  return { scale, offset };
}

function joined(a: StoredWeight, b: StoredWeight, operate: (a: number, b: number) => number): StoredWeight {
  const path = `${a.path} and ${b.path}`;
  if (!a.tensor || !b.tensor) return { path, absent: [...(a.absent ?? []), ...(b.absent ?? [])] };
  const { data } = b.tensor;
  return {
    path,
    tensor: floatTensor(
      a.tensor.shape,
      a.tensor.data.map((value, index) => operate(value, data[index]!)),
    ),
  };
}

function partnersOf(ours: readonly Ours[], theirs: readonly Theirs[]): ReadonlyMap<Ours, Theirs> {
  const partners = new Map<Ours, Theirs>();
  const left = new Set(theirs);
  const pair = (part: Ours, fits: (each: Theirs) => boolean): void => {
    const partner = [...left].find((each) => each.kind === part.kind && fits(each));
    if (partner === undefined) return;
    partners.set(part, partner);
    left.delete(partner);
  };
  const isAlone = ({ kind }: Ours) => kind === "normalization";
  for (const part of ours.filter((each) => !isAlone(each))) pair(part, () => true);
  // Graphs have more of these: some scale images.
  for (const part of ours.filter(isAlone)) pair(part, (each) => readsTheSame(part, each, partners));
  return partners;
}

function readsTheSame(part: Ours, partner: Theirs, partners: ReadonlyMap<Ours, Theirs>): boolean {
  const expected = [...part.sources].map((source) => partners.get(source));
  return partner.sources.size === expected.length && expected.every((each) => partner.sources.has(each!));
}

/** @throws {FormatError} a part reads the results of other parts than its counterpart. */
function assertSameConnections(partners: ReadonlyMap<Ours, Theirs>, where: string): void {
  for (const [part, partner] of partners) {
    if (readsTheSame(part, partner, partners)) continue;
    throw new FormatError({
      where,
      what: `its graph is connected differently: the counterpart of "${layerOf(part)}" reads other results`,
      received: [...partner.sources].map(({ kernel }) => kernel?.path ?? "?"),
      expected: `the results of ${[...part.sources].map(layerOf).join(", ") || "no layer, only the images"}`,
    });
  }
}

function layerOf({ kernel, normalization: [first] }: Ours): string | undefined {
  return (kernel ?? first)?.layer.name;
}

type Counts = ReadonlyMap<string, number>;

const countedAs = {
  convolution: "convolution",
  depthwise: "depthwise convolution",
  pointwise: "pointwise convolution",
  dense: "dense layer",
} as const satisfies { readonly [K in Theirs["kind"]]?: string };
const countedKinds = Object.keys(countedAs) as (keyof typeof countedAs)[];

function countKinds(list: readonly { readonly kind: Theirs["kind"] | StepKind }[]): Counts {
  return new Map(countedKinds.map((kind) => [kind, list.filter((each) => each.kind === kind).length]));
}

/** @throws {FormatError} a kind has another number of parts; only all dense ones may be missing (no top). */
function assertSameParts(received: Counts, expected: Counts, where: string): void {
  const fits = (kind: string) => received.get(kind) === expected.get(kind) || (kind === "dense" && !received.get(kind));
  if (countedKinds.every(fits)) return;
  const present = countedKinds.filter((kind) => received.get(kind) || expected.get(kind));
  const text = (counts: Counts) => present.map((kind) => counted(counts.get(kind)!, countedAs[kind])).join(", ");
  throw new FormatError({
    where,
    what: "its layers differ from the network's",
    received: text(received),
    expected: text(expected),
    remedy: "Name the network of its weights: architecture, width and other options.",
  });
}
