import { FormatError } from "../../errors.ts";
import type { Network } from "../../graph/network.ts";
import { floatTensor } from "../../tensor/tensor.ts";
import type { StoredLayer, StoredWeight } from "../stored-layers.ts";
import { type ChannelStep, type GraphPart, graphParts } from "./graph-parts.ts";
import { type GraphStep, type StepKind, sortedSteps } from "./graph-steps.ts";
import { networkSteps, type OwnWeight } from "./network-steps.ts";

/** What a graph holds for a network. */
export interface MatchedGraph {
  readonly layers: readonly StoredLayer[];
  /** Weights that the graph does not have since it does not need them, with the value that changes nothing. */
  readonly constants: ReadonlyMap<string, number>;
  /** How many batch normalizations of the network the graph has multiplied out. */
  readonly folded: number;
}

type Theirs = GraphPart<StoredWeight>;
type Ours = GraphPart<OwnWeight>;

/**
 * The weights of somebody else's graph as layers of a network: of each kind of part – ordinary convolutions, depthwise ones,
 * pointwise ones behind these, dense products – the first one there is the network's first one, and so on. Each must then
 * read the results of those whose partners its own partner reads, so that none gets the weights of another of its size.
 *
 * A normalization that was multiplied into the convolution before it leaves that one's kernel and a bias, the offset:
 * it becomes one that adds its beta and changes nothing else.
 * @throws {FormatError} the graph has other parts, or connects them otherwise.
 */
export function matchGraph(steps: readonly GraphStep<StoredWeight>[], network: Network, where: string): MatchedGraph {
  const own = networkSteps(network);
  // Before anything grows with the product of both: the file may be of any size.
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
      partner.normalization.forEach((stored, index) => {
        give(normalization[index], stored);
      });
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
  return { layers: [...layers, ...others].filter(({ weights }) => weights.length > 0), constants, folded };
}

/** A normalization that changes nothing, and the bias of the convolution before it, which its beta contains. */
function neutral(normalization: readonly OwnWeight[], bias: OwnWeight | undefined): readonly [string, number][] {
  const values = normalization.map(({ layer: { config }, spec }): [string, number] => {
    const epsilon = config.type === "BatchNormalization" ? config.epsilon : 0;
    // As float32, this and epsilon make exactly 1: the sum misses it by no more than half of the distance of the numbers
    // below 1, and half of it rounds to 1. So no factor is left, where √(variance + ε) as gamma would round twice.
    const variance = 1 - Math.fround(epsilon);
    const value = spec.role === "gamma" ? 1 : spec.role === "movingVariance" ? variance : 0;
    return [spec.name, value];
  });
  return bias ? [...values, [bias.spec.name, 0]] : values;
}

/** Several steps as one factor and then one offset, for each channel. */
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
  // Graphs have more of these: images are scaled, too.
  for (const part of ours.filter(isAlone)) pair(part, (each) => readsTheSame(part, each, partners));
  return partners;
}

function readsTheSame(part: Ours, partner: Theirs, partners: ReadonlyMap<Ours, Theirs>): boolean {
  const expected = [...part.sources].map((source) => partners.get(source));
  return partner.sources.size === expected.length && expected.every((each) => partner.sources.has(each!));
}

/** @throws {FormatError} a part reads others there than here. */
function assertSameConnections(partners: ReadonlyMap<Ours, Theirs>, where: string): void {
  for (const [part, partner] of partners) {
    if (readsTheSame(part, partner, partners)) continue;
    throw new FormatError({
      where,
      what: `its graph is connected otherwise than the network: what stands for "${layerOf(part)}" reads other results`,
      received: [...partner.sources].map(({ kernel }) => kernel?.path ?? "?"),
      expected: `the results of ${[...part.sources].map(layerOf).join(", ") || "nothing but the images"}`,
    });
  }
}

function layerOf({ kernel, normalization: [first] }: Ours): string | undefined {
  return (kernel ?? first)?.layer.name;
}

type Counts = ReadonlyMap<string, number>;

const counted = {
  convolution: "convolutions",
  depthwise: "depthwise convolutions",
  pointwise: "pointwise convolutions",
  dense: "dense layers",
} as const satisfies { readonly [K in Theirs["kind"]]?: string };
const countedKinds = Object.keys(counted) as (keyof typeof counted)[];

function countKinds(list: readonly { readonly kind: Theirs["kind"] | StepKind }[]): Counts {
  return new Map(countedKinds.map((kind) => [kind, list.filter((each) => each.kind === kind).length]));
}

/**
 * @throws {FormatError} a kind has another number of parts. Only the dense ones may be missing, all of them: a network
 * without its top.
 */
function assertSameParts(received: Counts, expected: Counts, where: string): void {
  const fits = (kind: string) => received.get(kind) === expected.get(kind) || (kind === "dense" && !received.get(kind));
  if (countedKinds.every(fits)) return;
  const present = countedKinds.filter((kind) => received.get(kind) || expected.get(kind));
  const text = (counts: Counts) => present.map((kind) => `${counts.get(kind)} ${counted[kind]}`).join(", ");
  throw new FormatError({
    where,
    what: "its graph has other layers than the network",
    received: text(received),
    expected: text(expected),
    remedy: "Say which network its weights are for: architecture, width, and what else makes it another.",
  });
}
