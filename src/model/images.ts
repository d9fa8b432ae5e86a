import { FormatError } from "../base/errors.ts";
import type { DecodeOptions, ImageSource, Platform, RgbImage, Session, SizedDecodeOptions } from "../base/platform.ts";
import { describeSource } from "../base/source.ts";
import { WorkQueue } from "../base/work-queue.ts";
import { imageInput } from "../compiler/lower.ts";
import { imageSizeOf } from "../graph/network.ts";
import { OpGraphBuilder } from "../graph/op-builder.ts";
import { type ImageResize, scaledSize } from "../graph/preprocessing.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Model, resizesInGraph } from "./model.ts";

/** Decode options for training, and for models whose graph does not resize. */
export function sizedDecodeOptionsOf({
  network,
  preprocessing: { fit, background },
}: Pick<Model, "network" | "preprocessing">): SizedDecodeOptions {
  const [height, width] = imageSizeOf(network);
  return { width, height, fit, background };
}

/**
 * Decode options of a model: the network's size, or full size if its graph does the rest. Formats that decode faster at
 * reduced size may come smaller, but at least twice as large as the graph's target.
 */
export function decodeOptionsOf({ network, preprocessing }: Pick<Model, "network" | "preprocessing">): DecodeOptions {
  if (!resizesInGraph(preprocessing)) return sizedDecodeOptionsOf({ network, preprocessing });
  const { background, cropRatio = 1 } = preprocessing;
  const [height, width] = imageSizeOf(network);
  const [scaledHeight, scaledWidth] = scaledSize([height, width], cropRatio);
  return { atLeast: { width: 2 * scaledWidth, height: 2 * scaledHeight }, background };
}

/** Stacks images of one size into a network's input, `[N, height, width, 3]`. */
export function imageBatch(images: readonly RgbImage[]): Tensor<"uint8"> {
  const { width, height } = images[0]!;
  const bytes = width * height * 3;
  const data = new Uint8Array(images.length * bytes);
  for (const [row, image] of images.entries()) data.set(image.data, row * bytes);
  return { type: "uint8", shape: [images.length, height, width, 3], data };
}

/** Largest ratio of an image's sides that `cover` resizes: the longer side is resized before it is cropped. */
const largestRatio = 200;

/** Compiles the model that resizes bytes `images [1, H, W, 3]` to `pixels [1, height, width, 3]`, exactly as a model file does. */
export async function preparationModel(
  [height, width]: readonly [number, number],
  resize: ImageResize,
): Promise<Uint8Array> {
  const { compileGraph } = await import("../compiler/compile.ts");
  const build = new OpGraphBuilder();
  build.output("pixels", build.input(imageInput, [1, height, width, 3], "uint8"));
  return compileGraph(build.finish(), new Map(), { form: "exact", name: "preparation", resize });
}

/**
 * Decodes images and resizes them to the bytes that a model's network reads: in the platform's code or in the engine if the model
 * specifies how, else in the decoder. Free it with `dispose()`.
 */
export function imagePreparation(model: Pick<Model, "network" | "preprocessing">, { images, engine }: Platform) {
  const { network, preprocessing } = model;
  const decodeOptions = decodeOptionsOf(model);
  const queue = new WorkQueue();
  let loading: Promise<Session> | undefined;
  return {
    /**
     * Returns the pixels that the network reads.
     * @throws {FormatError} the image is damaged, of no supported format, or too long to be resized.
     * @throws {DataError} there is no such file.
     * @throws {UsageError} it is not an image source.
     * @throws {AbortedError} the signal fired, and decoding could be stopped.
     */
    async prepare(image: ImageSource, { signal }: Pick<DecodeOptions, "signal"> = {}): Promise<RgbImage> {
      const decoded = await images.decode(image, { ...decodeOptions, signal });
      if (!resizesInGraph(preprocessing)) return decoded;
      const [height, width] = imageSizeOf(network);
      const sides = [decoded.width, decoded.height];
      const isTooLong = preprocessing.fit === "cover" && Math.max(...sides) > largestRatio * Math.min(...sides);
      if (isTooLong) {
        throw notResized(image, decoded, `one side is more than ${largestRatio} times as long as the other`);
      }
      if (images.resize) return images.resize(decoded, { ...preprocessing, width, height });
      loading ??= preparationModel([height, width], preprocessing).then((resizing) =>
        engine.createSession(resizing, { threads: 1 }),
      );
      const session = await loading;
      const { pixels } = await queue
        .add(() => session.run({ [imageInput]: imageBatch([decoded]) }))
        .catch((cause) => {
          throw notResized(image, decoded, (cause as Error).message, cause);
        });
      return { width, height, data: pixels!.data as Uint8Array };
    },
    /** Frees the engine's memory once the images in progress are done; idempotent. */
    dispose: (): Promise<void> =>
      queue.add(async () => {
        await (await loading)?.dispose();
        loading = undefined;
      }),
  };
}

/** The preparation of a model's images. */
export type ImagePreparation = ReturnType<typeof imagePreparation>;

function notResized(image: ImageSource, { width, height }: RgbImage, reason: string, cause?: unknown): FormatError {
  const what = `it cannot be resized (${reason})`;
  return new FormatError({ where: describeSource(image), what, received: `${width}×${height} pixels`, cause });
}
