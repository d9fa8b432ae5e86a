import { DataError } from "../../base/errors.ts";
import type { ImageSource, Platform, RgbImage } from "../../base/platform.ts";
import type { LabeledBox } from "../../data/boxes.ts";
import type { ImagePreprocessing, Model } from "../../model/model.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";

/** Width and height in pixels. */
type Size = Pick<RgbImage, "width" | "height">;

/**
 * The pointing game over the boxes of some images, for one method after another.
 * @throws {DataError} no box is of one of the images and of a class of the model.
 */
export function pointingGame(
  boxes: readonly LabeledBox[],
  images: readonly { readonly file: string; readonly image: ImageSource }[],
  { labels, preprocessing }: Pick<Model, "labels" | "preprocessing">,
  platform: Platform,
) {
  const known = boxes.filter(({ label }) => label === undefined || labels.includes(label));
  const isOf = (path: string) => (box: LabeledBox) => `/${path.replaceAll("\\", "/")}`.endsWith(`/${box.file}`);
  const boxesOf = new Map(images.map(({ file }) => [file, known.filter(isOf(file))]));
  if ([...boxesOf.values()].every(({ length }) => length === 0)) {
    throw new DataError({
      where: "boxes",
      what: "none is of one of the images and of a class of the model",
      received: boxes.slice(0, 3).map(({ file, label = "" }) => `${file},${label}`),
      expected: `e.g. ${images[0]?.file},${labels[0]}`,
    });
  }
  const sources = new Map(images.map(({ file, image }) => [file, image]));
  const sizes = new Map<string, Size>();
  const sizeOfImage = async (file: string): Promise<Size> => {
    const size = sizes.get(file) ?? (await platform.images.decode(sources.get(file)!, {}));
    // Without its pixels.
    sizes.set(file, { width: size.width, height: size.height });
    return size;
  };
  let [hits, total] = [0, 0];
  return {
    /** Starts counting. */
    start(): void {
      [hits, total] = [0, 0];
    },
    /** The counts of the method. */
    result: () => ({ hits, total }),
    /**
     * Counts each class that has boxes in an image.
     * @param explained its top class, which boxes without a label are of, and the image as the network reads it.
     * @param mapOf returns the map of a class.
     */
    async play(
      file: string,
      explained: { readonly label: string; readonly image: RgbImage },
      mapOf: (label: string) => Promise<FloatTensor>,
    ): Promise<void> {
      const own = boxesOf.get(file)!;
      const classOf = ({ label = explained.label }: LabeledBox) => label;
      for (const label of new Set(own.map(classOf))) {
        const { fit, cropRatio } = preprocessing;
        const place = { original: await sizeOfImage(file), read: explained.image, fit, cropRatio };
        const ofClass = own.filter((box) => classOf(box) === label);
        if (pointsInto(await mapOf(label), ofClass, place)) hits++;
        total++;
      }
    },
  };
}

/**
 * The pointing game: does the maximum of a map lie in a box of the explained class?
 * @param original size of the image that the boxes are of.
 * @param read size of the image as the network reads it.
 * @see Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop"; here without a tolerance around the box
 */
export function pointsInto(
  map: FloatTensor,
  boxes: readonly LabeledBox[],
  {
    original,
    read,
    ...preprocessing
  }: Pick<ImagePreprocessing, "fit" | "cropRatio"> & {
    readonly original: Size;
    readonly read: Size;
  },
): boolean {
  const [height, width] = map.shape as [number, number];
  const top = map.data.reduce((best, value, at) => (value > map.data[best]! ? at : best), 0);
  const along = [((top % width) + 0.5) / width, (Math.floor(top / width) + 0.5) / height] as const;
  const [x, y] = originalPlace(along, original, read, preprocessing);
  return boxes.some(({ bounds: [left, above, wide, high] }) => {
    return x >= left && x < left + wide && y >= above && y < above + high;
  });
}

/** Maps a place in the network's image, from 0 to 1, to pixels of the original: the inverse of resizing. */
function originalPlace(
  [across, down]: readonly [number, number],
  original: Size,
  read: Size,
  { fit, cropRatio = 1 }: Pick<ImagePreprocessing, "fit" | "cropRatio">,
): readonly [x: number, y: number] {
  const scales = [(cropRatio * original.width) / read.width, (cropRatio * original.height) / read.height] as const;
  const scale = fit === "cover" ? Math.min(...scales) : Math.max(...scales);
  const [horizontal, vertical] = fit === "fill" ? scales : [scale, scale];
  return [
    original.width / 2 + (across - 0.5) * read.width * horizontal,
    original.height / 2 + (down - 0.5) * read.height * vertical,
  ];
}
