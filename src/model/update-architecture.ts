import { UsageError } from "../base/errors.ts";
import { initializeWeights } from "../graph/initialize.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import { checkWeights, type Weights } from "../graph/weights.ts";
import type { LayerList } from "../models/layer-list.ts";
import { type Architecture, buildNetwork, withOptions } from "../models/registry.ts";
import { formatShape, sameShape } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";

/** Changes to an architecture; omitted properties stay the same. */
export interface ArchitectureChange {
  /** Number of classes; if it differs, the classifier is reinitialized. */
  readonly classes?: number;
  /** Shape of the images, `[height, width, channels]`. */
  readonly inputShape?: readonly [height: number, width: number, channels: number];
  /** Seed of the new classifier's weights; default: the architecture's. */
  readonly seed?: number;
}

/** A network and its weights. */
export interface UpdatedArchitecture {
  readonly architecture: Architecture;
  readonly network: Network;
  readonly weights: Weights;
}

/**
 * Adapts a trained network to another task: the same backbone, with a new classifier for another number of classes, a
 * first convolution adapted to another number of channels (`adaptInputChannels`), and another image size.
 * @throws {UsageError} a value is invalid, or there is no classifier or first convolution to change.
 * @throws {WeightsError} the weights are not those of the architecture.
 * @example
 * const { architecture, weights } = updateArchitecture(await loadModel("model.onnx"), { classes: 10 });
 */
export function updateArchitecture(
  { architecture, weights }: { readonly architecture: Architecture; readonly weights: Weights },
  change: ArchitectureChange,
): UpdatedArchitecture {
  const before = buildNetwork(architecture);
  checkWeights(`weights of ${before.name}`, networkWeights(before), weights);
  const classifier = classifierOf(before);
  if (change.classes !== undefined && classifier === undefined) {
    throw new UsageError({
      where: "option classes",
      what: `network "${before.name}" has no classifier`,
      received: change.classes,
      remedy: "Leave the option out.",
    });
  }
  const changed =
    architecture.family === "layers"
      ? { ...architecture, ...changedLayers(architecture, change, classifier) }
      : withOptions(architecture, change);
  const network = buildNetwork(changed);
  const fresh = initializeWeights(network);
  const adapted = networkWeights(network).map(({ name, shape }): [string, FloatTensor] => {
    const kept = weights.get(name)!;
    if (sameShape(kept.shape, shape)) return [name, kept];
    if (name.startsWith(`${classifier}/`)) return [name, fresh.get(name)!];
    if (name === firstKernelOf(network)) return [name, adaptInputChannels(kept, shape[2]!)];
    throw new UsageError({
      where: "option inputShape",
      what: `the network cannot be adapted: "${name}" is no kernel of a first convolution, and would need another shape`,
      received: formatShape(shape),
      expected: formatShape(kept.shape),
    });
  });
  return { architecture: changed, network, weights: new Map(adapted) };
}

function changedLayers(
  { layers, seed: own }: LayerList,
  { classes, inputShape, seed = own }: ArchitectureChange,
  classifier: string | undefined,
): Pick<LayerList, "layers" | "seed"> {
  const changed = layers.map((layer) => {
    const { config, name } = layer;
    if (config.type === "InputLayer" && inputShape !== undefined) {
      return { ...layer, config: { ...config, shape: inputShape } };
    }
    if (config.type === "Dense" && name === classifier && classes !== undefined) {
      return { ...layer, config: { ...config, units: classes } };
    }
    return layer;
  });
  return { layers: changed, seed };
}

/** The classifier layer: the last dense one, unless a layer with weights follows. */
function classifierOf({ layers }: Network): string | undefined {
  const last = layers.findLast(({ weights }) => weights.length > 0);
  return last?.config.type === "Dense" ? last.name : undefined;
}

/** The kernel of the convolution that reads the images. */
function firstKernelOf({ layers }: Network): string | undefined {
  const first = layers.find(({ weights }) => weights.length > 0);
  return first?.config.type === "Conv2D" ? `${first.name}/kernel` : undefined;
}

/**
 * Adapts the kernel of a first convolution to another number of image channels, such that gray or repeated channels
 * give about the same output: for one channel the sum over all, otherwise the channels repeated, scaled by the old
 * count divided by the new one.
 * @param kernel `[height, width, channels, filters]` → `[height, width, count, filters]`
 * @see https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/_manipulate.py, `adapt_input_conv`
 * @throws {UsageError} it is not the kernel of a convolution.
 */
export function adaptInputChannels(kernel: FloatTensor, count: number): FloatTensor {
  if (kernel.shape.length !== 4) {
    throw new UsageError({
      where: "adaptInputChannels",
      what: "this is not the kernel of a convolution",
      received: formatShape(kernel.shape),
      expected: "height×width×channels×filters",
    });
  }
  const [height, width, channels, filters] = kernel.shape as [number, number, number, number];
  const adapted = floatTensor([height, width, count, filters]);
  // For one channel, the sum of all; for several, the first `count` of the repeated channels, scaled.
  const scale = count === 1 ? 1 : channels / count;
  const terms = Math.max(count, count === 1 ? channels : 0);
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let term = 0; term < terms; term++) {
      const source = (pixel * channels + (term % channels)) * filters;
      const target = (pixel * count + (term % count)) * filters;
      for (let filter = 0; filter < filters; filter++) {
        adapted.data[target + filter]! += kernel.data[source + filter]! * scale;
      }
    }
  }
  return adapted;
}
