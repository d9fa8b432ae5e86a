import { UsageError } from "../base/errors.ts";
import { formatShape } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";

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
