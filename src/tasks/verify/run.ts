import { UsageError } from "../../base/errors.ts";
import type { Platform, SessionOptions, Tensors } from "../../base/platform.ts";
import { compileGraph } from "../../compiler/compile.ts";
import { imageInput, lower } from "../../compiler/lower.ts";
import type { Weights } from "../../graph/initialize.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
import type { OpGraph } from "../../graph/ops.ts";
import { syntheticImages } from "../../graph/synthetic.ts";
import { toEngineWeights } from "../../graph/weights.ts";
import { ImagePreparation, imageBatch } from "../../model/images.ts";
import { defaultPreprocessing, type ImagePreprocessing } from "../../model/model.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../tensor/tensor.ts";
import { channelBlock } from "../../train/step/step-program.ts";

/**
 * The form in which a network is compiled for the engine. `inference`: batch normalization folded into the
 * convolutions, as shipped. `training`: nothing folded and channels in blocks, where the engine has such a layout, as
 * in training steps. `exact`: operator for operator, as in model files.
 */
export type VerifyLayout = "exact" | "inference" | "training";

/** A graph with the numbers of its parameters, in the engine's layout. */
export interface FilledGraph {
  readonly graph: OpGraph;
  readonly weights: ReadonlyMap<string, FloatTensor>;
}

/** A network that outputs some of its layers: float32 images in, channels last out. */
export function tappedGraph(
  network: Network,
  weights: Weights,
  outputs: readonly string[],
  batchSize: number,
): FilledGraph {
  const { graph } = lower(network, { mode: "inference", batchSize, outputs });
  return { graph, weights: toEngineWeights(network, weights) };
}

/** Runs a graph on images, compiled as `layout` says; the training layout is fed with the weights. */
export async function runGraph(
  { graph, weights }: FilledGraph,
  layout: VerifyLayout,
  images: FloatTensor,
  platform: Platform,
  options?: SessionOptions,
): Promise<Tensors> {
  const isTraining = layout === "training";
  const model = isTraining
    ? compileGraph(graph, new Map(), { form: layout, blockSize: await channelBlock(platform) })
    : compileGraph(graph, weights, { form: layout });
  const session = await platform.engine.createSession(model, options);
  const feeds = { [imageInput]: images, ...(isTraining && Object.fromEntries(weights)) };
  return session.run(feeds).finally(() => session.dispose());
}

/** Images to run through the network. */
export interface VerifyImages {
  /** Their names in reports. */
  readonly names: readonly string[];
  /** `[N, H, W, C]`, as the network's first layer gets them. */
  readonly values: FloatTensor;
  /** `[N, H, W, 3]`, of the network's size, as a model file gets them; undefined for networks that do not read RGB images. */
  readonly bytes: Tensor<"uint8"> | undefined;
}

/**
 * The synthetic image, rounded to bytes where the network reads RGB images, and the user's images.
 * @throws {UsageError} images are given, but the network does not read RGB images.
 * @throws {FormatError} an image is damaged, or of no supported format.
 * @throws {DataError} there is no such file.
 */
export async function verifyImages(
  network: Network,
  preprocessing: ImagePreprocessing = defaultPreprocessing,
  files: readonly string[],
  platform: Platform,
): Promise<VerifyImages> {
  const shape = inputShapeOf(network) as [number, number, number];
  const synthetic = syntheticImages(1, shape);
  if (shape[2] !== 3) {
    if (files.length === 0) return { names: ["synthetic"], values: synthetic, bytes: undefined };
    throw new UsageError({
      where: "verify option images",
      what: "the network does not read RGB images",
      received: `${shape[2]} channels`,
      expected: "3 channels",
    });
  }
  const [height, width] = shape;
  const rounded = Uint8Array.from(synthetic.data, (value) =>
    Math.min(255, Math.max(0, Math.round(127.5 * (value + 1)))),
  );
  const preparation = new ImagePreparation({ network, preprocessing }, platform);
  const prepared = await Promise.all(files.map(preparation.prepare)).finally(() => preparation.dispose());
  const bytes = imageBatch([{ width, height, data: rounded }, ...prepared]);
  const { scale, offset } = preprocessing;
  const of = (each: number | readonly number[], index: number) => (typeof each === "number" ? each : each[index % 3]!);
  const values = Float32Array.from(bytes.data, (pixel, index) => pixel * of(scale, index) + of(offset, index));
  return { names: ["synthetic", ...files], values: floatTensor(bytes.shape, values), bytes };
}

/** Synthetic images as they are, for golden values. */
export function syntheticBatch(network: Network, count: number): VerifyImages {
  const values = syntheticImages(count, inputShapeOf(network) as [number, number, number]);
  return { names: Array.from({ length: count }, (_, index) => `synthetic ${index + 1}`), values, bytes: undefined };
}
