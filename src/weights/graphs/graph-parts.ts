import type { GraphStep } from "./graph-steps.ts";

/** A step after a part that changes its channels one by one. */
export interface ChannelStep<W> {
  readonly kind: "scale" | "offset";
  readonly weight: W;
}

/** A convolution or dense product with what follows it for itself, or a normalization that follows none. */
export interface GraphPart<W> {
  /** `pointwise` is a convolution that reads a depthwise one and nothing else. */
  readonly kind: "convolution" | "depthwise" | "pointwise" | "dense" | "normalization";
  /** The parts whose results it reads, whatever without a kernel stands between. */
  readonly sources: ReadonlySet<GraphPart<W>>;
  readonly kernel: W | undefined;
  /** Bias, and a normalization that somebody has multiplied out. */
  readonly channelSteps: readonly ChannelStep<W>[];
  /** Gamma, beta, mean, variance. */
  readonly normalization: readonly W[];
}

type GrowingPart<W> = GraphPart<W> & {
  readonly channelSteps: ChannelStep<W>[];
  normalization: readonly W[];
};

/** @param steps in their order, as `sortedSteps` gives them. */
export function graphParts<W>(steps: readonly GraphStep<W>[]): readonly GraphPart<W>[] {
  const readers = new Map<string, number>();
  for (const name of steps.flatMap(({ inputs }) => inputs)) readers.set(name, (readers.get(name) ?? 0) + 1);
  const parts: GrowingPart<W>[] = [];
  const sources = new Map<string, ReadonlySet<GrowingPart<W>>>();
  /** The part that a value is the result of, as long as others may still belong to it. */
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
