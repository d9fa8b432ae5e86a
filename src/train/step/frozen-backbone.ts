import type { OnPlatform } from "../../base/platform.ts";
import { compileGraph } from "../../compiler/compile.ts";
import { imageInput, lower } from "../../compiler/lower.ts";
import { fakeQuantize } from "../../compiler/quantize/fake-quantize.ts";
import type { Quantization } from "../../compiler/quantize/quantization.ts";
import { type Layer, type Network, networkWeights } from "../../graph/network.ts";
import type { Preprocessing } from "../../graph/preprocessing.ts";
import { partUpTo } from "../../models/layer-list.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor, selectRows, type Tensor } from "../../tensor/tensor.ts";
import type { TrainingGraphOptions } from "./training-graph-options.ts";

/** A part of the network in the engine, in inference mode. */
export interface LoadedPart {
  /** Any number of images, or of feature maps where a part starts with them: `[N, H, W, C]` → the part's output. */
  readonly run: (images: Tensor) => Promise<FloatTensor>;
  readonly dispose: () => Promise<void>;
}

interface PartOptions extends OnPlatform {
  readonly preprocessing?: Preprocessing | undefined;
  /** Rounds weights and activations as the int8 form does; default: no rounding. */
  readonly quantization?: Quantization | undefined;
}

/**
 * Loads a part of a network into the engine.
 * @param tensors weights in the engine's layout; may have others, too.
 */
export async function loadPart(
  part: Network,
  tensors: ReadonlyMap<string, FloatTensor>,
  { platform, session, preprocessing, quantization }: PartOptions,
): Promise<LoadedPart> {
  const lowered = lower(part, { mode: "inference", batchSize: 1, preprocessing }).graph;
  const graph = quantization ? fakeQuantize(lowered, quantization).graph : lowered;
  const options = { form: "inference", name: part.name, dynamicBatch: true } as const;
  const loaded = await platform.engine.createSession(compileGraph(graph, weightsOf(part, tensors), options), session);
  return {
    run: async (images) => (await loaded.run({ [imageInput]: images }))[part.output] as FloatTensor,
    dispose: () => loaded.dispose(),
  };
}

/** The weights of a part of a network. */
export function weightsOf<T>(part: Network, weights: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map(networkWeights(part).map(({ name }) => [name, weights.get(name)!]));
}

/** Returns true for layers whose weights or moving statistics training changes. */
export function changing({
  trainable = () => true,
  batchNorm,
}: Pick<TrainingGraphOptions, "trainable" | "batchNorm">): (layer: Layer) => boolean {
  return (layer) => {
    const trains = layer.weights.some((spec) => spec.trainable && trainable(spec));
    return trains || (layer.config.type === "BatchNormalization" && batchNorm?.(layer) === "training");
  };
}

/**
 * Index of the last layer before all layers that change, if everything after it depends on its output alone; undefined if
 * there is none but the input.
 */
export function frozenEnd({ layers }: Network, changes: (layer: Layer) => boolean): number | undefined {
  const places = new Map(layers.map(({ name }, index) => [name, index]));
  const firstChange = layers.findIndex(changes);
  let earliestRead = layers.length;
  for (let end = layers.length - 2; end > 0; end--) {
    earliestRead = Math.min(earliestRead, ...layers[end + 1]!.inbound.map((name) => places.get(name)!));
    if (end < firstChange && earliestRead >= end) return end;
  }
  return undefined;
}

/** The frozen layers before all that train. */
export interface FrozenBackbone {
  /** Images `[N, H, W, C]`, and the name of each one's view → feature maps `[N, h, w, c]`. */
  run(images: Tensor, views: readonly string[]): Promise<FloatTensor>;
  /** Frees the engine's memory until there is a new view; the feature maps stay. */
  dispose(): Promise<void>;
}

/**
 * Computes the feature maps of each view of an image once, and keeps them as long as they fit into a limit of memory; of later
 * views they are computed each time.
 * @param end index of the last layer. @param tensors as for {@link loadPart}.
 * @param options `mostBytes`: memory limit of the feature maps.
 */
export function frozenBackbone(
  network: Network,
  end: number,
  tensors: ReadonlyMap<string, FloatTensor>,
  { mostBytes, ...options }: PartOptions & { readonly mostBytes: number },
): FrozenBackbone {
  const shape = network.layers[end]!.outputShape;
  const size = sizeOf(shape);
  const mostViews = mostBytes / (size * Float32Array.BYTES_PER_ELEMENT);
  /** By view. */
  const known = new Map<string, Float32Array>();
  let part: LoadedPart | undefined;
  return {
    async run(images, views) {
      const maps = floatTensor([views.length, ...shape]);
      const missing: number[] = [];
      for (const [row, view] of views.entries()) {
        const kept = known.get(view);
        if (kept) maps.data.set(kept, row * size);
        else missing.push(row);
      }
      if (missing.length === 0) return maps;
      part ??= await loadPart(partUpTo(network, end), tensors, options);
      const { data } = await part.run(missing.length === views.length ? images : selectRows(images, missing));
      for (const [place, row] of missing.entries()) {
        const map = data.subarray(place * size, (place + 1) * size);
        maps.data.set(map, row * size);
        if (known.size < mostViews) known.set(views[row]!, map.slice());
      }
      return maps;
    },
    async dispose() {
      await part?.dispose();
      part = undefined;
    },
  };
}
