import { TrainingError } from "../../base/errors.ts";
import type { Tensors } from "../../base/platform.ts";
import { gradient } from "../../compiler/gradient.ts";
import { type Network, networkWeights } from "../../graph/network.ts";
import { OpGraphBuilder } from "../../graph/op-builder.ts";
import { dependents, type OpGraph, type Value } from "../../graph/ops.ts";
import { allFinite, type FloatTensor, type Tensor } from "../../tensor/tensor.ts";
import { type ProgramOptions, stepSession } from "./step-program.ts";
import { type ForwardGraph, forwardGraph } from "./training-graph.ts";
import { type TrainingGraphOptions, trainingNames } from "./training-graph-options.ts";

/** The first NaN or infinite number of a step. */
export interface Fault {
  /** Name of the layer; undefined for the loss and for inputs. */
  readonly layer?: string;
  /**
   * `weight`: before the step; `input`: of the step; `output`: of a layer with finite inputs; `loss`: with finite layer
   * outputs; `gradient`: of the layer's output or weights, with finite gradients of later layers.
   */
  readonly kind: "weight" | "input" | "output" | "loss" | "gradient";
  /** Name of the weight, input or value. */
  readonly name: string;
}

/** A step before it is run. */
interface DiagnosisInput {
  readonly network: Network;
  readonly options: TrainingGraphOptions;
  /** Weights by name, in the engine's layout. */
  readonly weights: ReadonlyMap<string, FloatTensor>;
  /** The other inputs of the step. */
  readonly batch: Tensors;
}

/**
 * Finds the first NaN or infinite number of a step; undefined if there is none before the update. Compiles a graph that
 * computes every layer's output and gradient, which costs about as much as creating a step.
 */
export async function diagnoseStep(
  { network, options, weights, batch }: DiagnosisInput,
  program: Omit<ProgramOptions, "frozen">,
): Promise<Fault | undefined> {
  const layerOf = new Map(network.layers.flatMap(({ name, weights }) => weights.map((spec) => [spec.name, name])));
  for (const { name } of networkWeights(network)) {
    if (!isSound(weights.get(name)!)) return { kind: "weight", layer: layerOf.get(name)!, name };
  }
  for (const [name, tensor] of Object.entries(batch)) if (!isSound(tensor)) return { kind: "input", name };

  const forward = forwardGraph(network, options);
  const { graph, places } = withPlaces(network, forward);
  const session = await stepSession(graph, { ...program, frozen: new Map() });
  try {
    const read = graph.parameters.map(({ name }) => [name, weights.get(name)!] as const);
    const results = await session.run({ ...Object.fromEntries(read), ...batch });
    return places.find(({ name }) => !isSound(results[outputName(name)]!));
  } finally {
    await session.dispose();
  }
}

/** The graph with one output for each possible fault, in the order in which faults spread. */
function withPlaces(network: Network, forward: ForwardGraph): { graph: OpGraph; places: readonly Fault[] } {
  const { graph: upToLoss, layerOutputs, trained } = forward;
  const leading = ancestors(upToLoss, trainingNames.loss);
  const weighted = dependents(
    upToLoss,
    upToLoss.parameters.map(({ name }) => name),
  );
  const differentiated = [...layerOutputs].filter(([, { name }]) => leading.has(name) && weighted.has(name));
  const names = [...differentiated.map(([, value]) => value.name), ...trained.map(({ name }) => name)];
  const { graph, gradients } = gradient(upToLoss, trainingNames.loss, names);

  const build = new OpGraphBuilder({ ...graph, outputs: new Map() });
  const places: Fault[] = [];
  const place = (fault: Fault, value: Value): void => {
    places.push(fault);
    build.output(outputName(fault.name), trace(build, value));
  };
  for (const [layer, value] of layerOutputs) place({ kind: "output", layer, name: layer }, value);
  place({ kind: "loss", name: trainingNames.loss }, upToLoss.outputs.get(trainingNames.loss)!);
  const reached = new Map(differentiated);
  for (const { name: layer, weights } of network.layers.toReversed()) {
    const value = reached.get(layer);
    if (value) place({ kind: "gradient", layer, name: trainingNames.gradient(layer) }, gradients.get(value.name)!);
    for (const spec of weights.filter((each) => trained.includes(each))) {
      const name = trainingNames.gradient(spec.name);
      place({ kind: "gradient", layer, name }, gradients.get(spec.name)!);
    }
  }
  return { graph: build.finish(), places };
}

/** Σ 0·x: 0 if all numbers are finite, otherwise NaN. */
function trace(build: OpGraphBuilder, value: Value): Value {
  const nothing = build.op({ kind: "multiply" }, [value, build.constant(0)]);
  if (value.shape.length === 0) return nothing;
  return build.op({ kind: "reduceSum", axes: [...value.shape.keys()], keepDims: false }, [nothing]);
}

/** Names of all values an output depends on. */
function ancestors(graph: OpGraph, output: string): ReadonlySet<string> {
  const names = new Set([graph.outputs.get(output)!.name]);
  for (const { inputs, outputs } of graph.operations.toReversed()) {
    if (outputs.some(({ name }) => names.has(name))) for (const { name } of inputs) names.add(name);
  }
  return names;
}

const outputName = (place: string) => `finite/${place}`;

function isSound({ type, data }: Tensor): boolean {
  return type !== "float32" || allFinite(data as Float32Array);
}

/** The highest learning rate of a run, and the default one of its optimizer. */
interface LearningRates {
  readonly learningRate: number;
  readonly usualRate: number;
}

/**
 * @param weights by name, in any layout; optimizer state (`<weight>#<slot>`) is ignored.
 * @throws {TrainingError} a weight is NaN or infinite.
 */
export function assertFiniteWeights(
  weights: ReadonlyMap<string, FloatTensor>,
  place: string,
  rates: LearningRates,
): void {
  for (const [name, { data }] of weights) {
    if (name.includes("#")) continue;
    const broken = data.find((value) => !Number.isFinite(value));
    if (broken !== undefined) throwDiverged(place, `weight "${name}"`, broken, rates);
  }
}

/**
 * Reports a step with a NaN or infinite loss or new weight.
 * @param fault its origin; undefined for the optimizer's update.
 * @throws {TrainingError} always.
 */
export function throwBrokenStep(place: string, loss: number, fault: Fault | undefined, rates: LearningRates): never {
  const [subject, received] = Number.isFinite(loss) ? ["a new weight"] : ["the loss", loss];
  throwDiverged(place, subject, received, rates, describe(fault));
}

function describe(fault: Fault | undefined): string {
  if (!fault) return ", from the optimizer's update on";
  const { kind, layer, name } = fault;
  if (kind === "weight") return `, because of weight "${name}"`;
  if (kind === "input") return `, because of the batch's ${name}`;
  if (kind === "loss") return "";
  return `, from the ${kind} of layer "${layer}" on`;
}

function throwDiverged(place: string, subject: string, received: unknown, rates: LearningRates, origin = ""): never {
  const { learningRate, usualRate } = rates;
  const lower = Math.min(Number((learningRate / 10).toPrecision(3)), usualRate);
  throw new TrainingError({
    where: `training, ${place}`,
    what: `${subject} is NaN or infinite${origin}`,
    received,
    remedy: `The steps were too large: use a lower learning rate, e.g. ${lower} instead of ${learningRate}.`,
  });
}
