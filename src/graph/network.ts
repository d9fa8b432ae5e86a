import { type Shape, sizeOf } from "../tensor/shape.ts";
import type { LayerOutput } from "./builder.ts";
import { layerWeights, type WeightSpec } from "./layer-weights.ts";
import type { LayerConfig } from "./layers.ts";

/** A layer of a network. */
export interface Layer {
  readonly name: string;
  readonly config: LayerConfig;
  /** Names of its inbound layers. */
  readonly inbound: readonly string[];
  /** Without the batch axis, channels last. */
  readonly outputShape: Shape;
  readonly weights: readonly WeightSpec[];
}

/** A network as plain data: its layers in the order of Keras's `model.layers`, inputs before their readers. */
export interface Network {
  readonly name: string;
  readonly layers: readonly Layer[];
  /** Name of the output layer. */
  readonly output: string;
  /** Seed of the initial weights. */
  readonly seed: number;
}

/** Numbers of parameters of a network or layer. */
export interface ParameterCount {
  readonly total: number;
  readonly trainable: number;
  readonly nonTrainable: number;
}

/** Builds the network that computes `output`, with every layer it depends on. */
export function network(name: string, output: LayerOutput, seed = 0): Network {
  const layers = kerasOrder(output).map((each): Layer => {
    const channels = each.inputs[0]?.shape.at(-1) ?? 0;
    return {
      name: each.name,
      config: each.config,
      inbound: each.inputs.map((source) => source.name),
      outputShape: each.shape,
      weights: layerWeights(each.config, channels, each.name),
    };
  });
  return { name, layers, output: output.name, seed };
}

/**
 * All weights of a network, in the order of its layers: the order of Keras's files and of `model.weights` grouped by
 * layer.
 */
export function networkWeights(of: Network): readonly WeightSpec[] {
  return of.layers.flatMap((layer) => layer.weights);
}

/** Number of parameters, trainable and not. */
export function countParameters(weights: readonly WeightSpec[]): ParameterCount {
  const count = (of: readonly WeightSpec[]) => of.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const total = count(weights);
  const trainable = count(weights.filter((each) => each.trainable));
  return { total, trainable, nonTrainable: total - trainable };
}

/** Shape of a network's input without the batch axis, channels last. */
export function inputShapeOf(of: Network): Shape {
  const first = of.layers.find((layer) => layer.config.type === "InputLayer");
  return first!.outputShape;
}

/** Height and width of a network's input images. */
export function imageSizeOf(of: Network): readonly [height: number, width: number] {
  const [height, width] = inputShapeOf(of);
  return [height!, width!];
}

/** The output layer of a network. */
export function outputLayer({ layers, output }: Network): Layer {
  return layers.find(({ name }) => name === output)!;
}

/** Name of the activation of the network's output; `linear` if there is none. */
export function outputActivation(network: Network): string {
  const { config } = outputLayer(network);
  return config.type === "Dense" || config.type === "Activation" ? config.activation : "linear";
}

/**
 * Keras's order of layers: by depth, the longest way to the output, deepest first; layers of equal depth in the order
 * in which a walk from the output backwards first meets them.
 * @see keras/src/ops/function.py, `map_graph`
 */
function kerasOrder(output: LayerOutput): LayerOutput[] {
  const firstMet = new Map<LayerOutput, number>();
  const inputsFirst: LayerOutput[] = [];
  const visit = (each: LayerOutput): void => {
    if (firstMet.has(each)) return;
    firstMet.set(each, firstMet.size);
    each.inputs.forEach(visit);
    inputsFirst.push(each);
  };
  visit(output);

  const depth = new Map<LayerOutput, number>();
  for (const each of inputsFirst.toReversed()) {
    const own = depth.get(each) ?? 0;
    depth.set(each, own);
    for (const source of each.inputs) depth.set(source, Math.max(depth.get(source) ?? 0, own + 1));
  }
  return inputsFirst.sort((a, b) => depth.get(b)! - depth.get(a)! || firstMet.get(a)! - firstMet.get(b)!);
}

/** Layers on every path from the input to the output: no connection bypasses them. */
export function trunkOf({ layers }: Network): ReadonlySet<string> {
  const lastReader = new Map<string, number>();
  for (const [place, { inbound }] of layers.entries()) for (const source of inbound) lastReader.set(source, place);
  const trunk = new Set<string>();
  let reached = 0;
  for (const [place, { name }] of layers.entries()) {
    if (reached <= place) trunk.add(name);
    reached = Math.max(reached, lastReader.get(name) ?? 0);
  }
  return trunk;
}

/** Whether a layer is nothing but an activation function. */
export function isActivation({ config: { type } }: Layer): boolean {
  return type === "Activation" || type === "ReLU" || type === "LeakyReLU";
}
