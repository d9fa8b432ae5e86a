import { UsageError } from "../../errors.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
import type { Platform } from "../../platform.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../tensor/tensor.ts";
import { formulaImages } from "../../weights/formula.ts";
import { ImagePreparation, imageBatch } from "../model/images.ts";
import { defaultPreprocessing, type ImagePreprocessing } from "../model/model.ts";

/** What runs through the network. */
export interface VerifyImages {
  /** What reports call them. */
  readonly names: readonly string[];
  /** `[N, H, W, C]`, as the network's first layer gets them. */
  readonly values: FloatTensor;
  /** `[N, H, W, 3]`, of the network's size, as a model file gets them; undefined for networks that do not read RGB images. */
  readonly bytes: Tensor<"uint8"> | undefined;
}

/**
 * The image of the formula, rounded to bytes where the network reads RGB images, and the user's.
 * @throws {UsageError} there are images for a network that reads no RGB images.
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
  const formula = formulaImages(1, shape);
  if (shape[2] !== 3) {
    if (files.length === 0) return { names: ["formula"], values: formula, bytes: undefined };
    throw new UsageError({
      where: "verify option images",
      what: "the network does not read RGB images",
      received: `${shape[2]} channels`,
      expected: "3 channels",
    });
  }
  const [height, width] = shape;
  const rounded = Uint8Array.from(formula.data, (value) => Math.min(255, Math.max(0, Math.round(127.5 * (value + 1)))));
  const preparation = new ImagePreparation({ network, preprocessing }, platform);
  const prepared = await Promise.all(files.map(preparation.prepare)).finally(() => preparation.dispose());
  const bytes = imageBatch([{ width, height, data: rounded }, ...prepared]);
  const { scale, offset } = preprocessing;
  const of = (each: number | readonly number[], index: number) => (typeof each === "number" ? each : each[index % 3]!);
  const values = Float32Array.from(bytes.data, (pixel, index) => pixel * of(scale, index) + of(offset, index));
  return { names: ["formula", ...files], values: floatTensor(bytes.shape, values), bytes };
}

/** Images of the formula as they are, for values of other tools. */
export function formulaBatch(network: Network, count: number): VerifyImages {
  const values = formulaImages(count, inputShapeOf(network) as [number, number, number]);
  return { names: Array.from({ length: count }, (_, index) => `formula ${index + 1}`), values, bytes: undefined };
}
