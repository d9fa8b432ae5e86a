import { FormatError } from "../base/errors.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import type { Layer, Network } from "../graph/network.ts";

/**
 * Kinds of operations, as far as weights are concerned. `scale` and `offset` have a number for each channel; `view` returns
 * the same numbers in another order.
 */
export type StepKind = "convolution" | "depthwise" | "dense" | "normalization" | "scale" | "offset" | "view" | "other";

/** One operation of a graph of any tool; `W` represents a weight. */
export interface GraphStep<W> {
  readonly kind: StepKind;
  /** Names of its input values. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Kernel and optional bias; gamma, beta, mean and variance; the vector of a `scale` or `offset`. */
  readonly weights: readonly W[];
}

/**
 * Sorts steps topologically; steps that are sorted already keep their order.
 * @throws {FormatError} the graph has a cycle.
 */
export function sortedSteps<W>(steps: readonly GraphStep<W>[], where: string): readonly GraphStep<W>[] {
  const makers = new Map(steps.flatMap((step) => step.outputs.map((name) => [name, step] as const)));
  const sorted = new Set<GraphStep<W>>();
  const visited = new Set<GraphStep<W>>();
  for (const first of steps) {
    const waiting = [first];
    for (let step = waiting.at(-1); step !== undefined; step = waiting.at(-1)) {
      const isFirstVisit = !visited.has(step);
      visited.add(step);
      const needed = isFirstVisit ? step.inputs.flatMap((name) => makers.get(name) ?? []) : [];
      const open = needed.filter((each) => !sorted.has(each));
      if (open.some((each) => visited.has(each))) {
        throw new FormatError({ where, what: "its graph has a cycle", received: step.outputs });
      }
      waiting.push(...open.reverse());
      if (open.length > 0) continue;
      waiting.pop();
      sorted.add(step);
    }
  }
  return [...sorted];
}

/** A weight of a network, and its layer. */
export interface OwnWeight {
  readonly layer: Layer;
  readonly spec: WeightSpec;
}

/** The steps of a network: a separable convolution is two. */
export function networkSteps({ layers }: Network): readonly GraphStep<OwnWeight>[] {
  return layers.flatMap((layer): GraphStep<OwnWeight>[] => {
    const { name, inbound, config } = layer;
    const weights = layer.weights.map((spec): OwnWeight => ({ layer, spec }));
    const step = { inputs: inbound, outputs: [name], weights };
    if (config.type !== "SeparableConv2D") return [{ ...step, kind: kinds[config.type] ?? "other" }];
    const between = `${name}: between its steps`;
    return [
      { ...step, kind: "depthwise", outputs: [between], weights: weights.slice(0, 1) },
      { ...step, kind: "convolution", inputs: [between], weights: weights.slice(1) },
    ];
  });
}

const kinds: { readonly [T in Layer["config"]["type"]]?: StepKind } = {
  Conv2D: "convolution",
  DepthwiseConv2D: "depthwise",
  Dense: "dense",
  BatchNormalization: "normalization",
};

/** A step that changes the channels of a part one by one. */
export interface ChannelStep<W> {
  readonly kind: "scale" | "offset";
  readonly weight: W;
}

/** A convolution or dense layer with the bias and normalization after it, or a normalization that follows neither. */
export interface GraphPart<W> {
  /** `pointwise` is a convolution whose only input is a depthwise one. */
  readonly kind: "convolution" | "depthwise" | "pointwise" | "dense" | "normalization";
  /** The parts whose results it reads, possibly through operations without a kernel. */
  readonly sources: ReadonlySet<GraphPart<W>>;
  readonly kernel: W | undefined;
  /** Bias, and a folded normalization. */
  readonly channelSteps: readonly ChannelStep<W>[];
  /** Gamma, beta, mean, variance. */
  readonly normalization: readonly W[];
}

type GrowingPart<W> = GraphPart<W> & {
  readonly channelSteps: ChannelStep<W>[];
  normalization: readonly W[];
};

/**
 * Groups the steps of a graph into parts.
 * @param steps in the order of `sortedSteps`.
 */
export function graphParts<W>(steps: readonly GraphStep<W>[]): readonly GraphPart<W>[] {
  const readers = new Map<string, number>();
  for (const name of steps.flatMap(({ inputs }) => inputs)) readers.set(name, (readers.get(name) ?? 0) + 1);
  const parts: GrowingPart<W>[] = [];
  const sources = new Map<string, ReadonlySet<GrowingPart<W>>>();
  /** The part that computes a value, while further steps may still belong to it. */
  const ends = new Map<string, GrowingPart<W>>();
  for (const step of steps) {
    const [data = ""] = step.inputs;
    const read = united(step.inputs.flatMap((name) => sources.get(name) ?? []));
    const owner = ends.get(data);
    const end = (part: GrowingPart<W>, reached: ReadonlySet<GrowingPart<W>>): void => {
      for (const name of step.outputs) {
        ends.set(name, part);
        sources.set(name, reached);
      }
    };
    const begin = (kind: GraphPart<W>["kind"], kernel?: W): GrowingPart<W> => {
      const part: GrowingPart<W> = { kind, sources: read, kernel, channelSteps: [], normalization: [] };
      parts.push(part);
      return part;
    };
    const isOpen = owner !== undefined && owner.normalization.length === 0;
    switch (step.kind) {
      case "convolution":
      case "depthwise":
      case "dense": {
        const [kernel, bias] = step.weights;
        const [only, ...others] = read;
        const isPointwise = step.kind === "convolution" && only?.kind === "depthwise" && others.length === 0;
        const part = begin(isPointwise ? "pointwise" : step.kind, kernel);
        if (bias !== undefined) part.channelSteps.push({ kind: "offset", weight: bias });
        end(part, new Set([part]));
        continue;
      }
      case "normalization": {
        const part = isOpen && owner.kind !== "normalization" ? owner : begin("normalization");
        part.normalization = step.weights;
        end(part, read);
        continue;
      }
      case "scale":
      case "offset": {
        const isAlone = readers.get(data) === 1;
        const part = isOpen && isAlone ? owner : step.kind === "scale" ? begin("normalization") : undefined;
        if (part === undefined) break;
        part.channelSteps.push({ kind: step.kind, weight: step.weights[0]! });
        end(part, read);
        continue;
      }
      case "view":
        if (owner !== undefined) end(owner, read);
        break;
    }
    for (const name of step.outputs) sources.set(name, read);
  }
  return parts;
}

function united<T>(sets: readonly ReadonlySet<T>[]): ReadonlySet<T> {
  const [first = new Set<T>(), ...others] = sets;
  return others.every((each) => each === first) ? first : new Set(sets.flatMap((each) => [...each]));
}
