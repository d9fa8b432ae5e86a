import { type Network, networkWeights } from "../graph/network.ts";
import { OpGraphBuilder } from "../graph/op-builder.ts";
import { dependents, type Operation, type OpGraph, type Value } from "../graph/ops.ts";
import { toEngineLayout, type Weights } from "../graph/weights.ts";
import { compileGraph } from "./compile.ts";
import { foldBatchNorm } from "./fold-batch-norm.ts";
import { gradient } from "./gradient.ts";
import { lower } from "./lower.ts";

/** A compiled gradient of class scores. */
export interface CompiledGradient {
  readonly model: Uint8Array;
  /** Name of the output with the gradient, `[N, H, W, C]` of the layer. */
  readonly gradient: string;
  /** Name of the output with the logits, `[N, classes]`. */
  readonly logits: string;
  /** Layers whose outputs are fed, channels last, under {@link activationInput}; the first is the layer itself. */
  readonly layers: readonly string[];
}

/** The layer of a gradient, and the form it is compiled in. */
export interface GradientOptions {
  /** The name of a layer; the input layer stands for the scaled pixels. */
  readonly layer: string;
  readonly batchSize: number;
  /** Channels to a block of the engine's fastest CPU layout on this machine; default: plain layout. */
  readonly blockSize?: number | undefined;
}

/** Name of the input with the weight of each class in the target, `[N, classes]`. */
export const classWeightsInput = "class weights";

/** Name of the input with the output of a layer, `[N, H, W, C]`. */
export function activationInput(layer: string): string {
  return `activation/${layer}`;
}

/**
 * Compiles the gradient of Σ class weight · logit with respect to a layer's output, in inference mode: the part of the
 * network behind the layer, forward and backward. A batch holds independent images, each with its own class weights.
 * @throws {GraphError} the output does not depend on the layer, or an operator has no gradient.
 */
export function compileActivationGradient(
  network: Network,
  weights: Weights,
  { layer, batchSize, blockSize }: GradientOptions,
): CompiledGradient {
  const { graph, layerOutputs, logits } = lower(network, { mode: "inference", batchSize, outputs: [] });
  const build = new OpGraphBuilder(graph);
  const classWeights = build.input(classWeightsInput, logits.shape);
  const weighted = build.op({ kind: "multiply" }, [logits, classWeights]);
  build.output("target", build.op({ kind: "reduceSum", axes: [...logits.shape.keys()], keepDims: false }, [weighted]));
  build.output("logits", logits);

  const tail = tailOf(build.finish(), layerOutputs, layer);
  const used = new Set(tail.graph.parameters.map(({ name }) => name));
  const stored = networkWeights(network).filter(({ name }) => used.has(name));
  const inEngineLayout = new Map(stored.map((spec) => [spec.name, toEngineLayout(spec, weights.get(spec.name)!)]));
  // Folded first: the backward pass then has no normalization either.
  const folded = foldBatchNorm(tail.graph, inEngineLayout);
  const { graph: differentiated, gradients } = gradient(folded.graph, "target", [activationInput(layer)]);
  const outputs = new Map([
    ["gradient", gradients.get(activationInput(layer))!],
    ["logits", differentiated.outputs.get("logits")!],
  ]);
  const options = { form: "inference", name: "gradient", blockSize } as const;
  const model = compileGraph({ ...differentiated, outputs }, folded.weights, options);
  return { model, layers: tail.layers, gradient: "gradient", logits: "logits" };
}

/** The operators that the outputs need behind `layer`: its output, and those of layers that bypass it, become inputs. */
function tailOf(graph: OpGraph, layerOutputs: ReadonlyMap<string, Value>, layer: string) {
  const start = layerOutputs.get(layer)!;
  const behind = dependents(graph, [start.name]);
  const layerOf = new Map([...layerOutputs].toReversed().map(([name, value]) => [value.name, name]));
  const needed = new Set([...graph.outputs.values()].map(({ name }) => name));
  const cut = new Map<string, Value>([[layer, start]]);
  const operations: Operation[] = [];
  for (const operation of graph.operations.toReversed()) {
    if (!operation.outputs.some(({ name }) => needed.has(name))) continue;
    const [output] = operation.outputs as [Value];
    if (output.name === start.name) continue;
    const bypassing = behind.has(output.name) ? undefined : layerOf.get(output.name);
    if (bypassing !== undefined) cut.set(bypassing, output);
    else {
      operations.unshift(operation);
      for (const { name } of operation.inputs) needed.add(name);
    }
  }
  const isNeeded = ({ name }: Value) => needed.has(name);
  const fed = [...cut].map(([name, output]) => fedChannelsLast(activationInput(name), output));
  return {
    layers: [...cut.keys()],
    graph: {
      ...graph,
      inputs: [...graph.inputs.filter(isNeeded), ...fed.flatMap(({ inputs }) => inputs)],
      parameters: graph.parameters.filter(isNeeded),
      constants: graph.constants.filter(isNeeded),
      operations: [...fed, ...operations],
    },
  };
}

/** The operator that computes `output` from an input with its channels last. */
function fedChannelsLast(name: string, output: Value): Operation {
  const [batch, channels, ...size] = output.shape;
  const input = { ...output, name, shape: [batch!, ...size, channels!] };
  const last = output.shape.length - 1;
  const permutation = [0, last, ...size.map((_, axis) => axis + 1)];
  return { config: { kind: "transpose", permutation }, inputs: [input], outputs: [output] };
}
