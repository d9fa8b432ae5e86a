import { type Shape, sameShape, sizeOf } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";

/** ONNX Runtime's integer kernels for depthwise convolutions compute 16 channels at once, on x86 and ARM. */
const step = 16;

/** Most channels to add, as a fraction of a map's own. */
const mostAdded = 1 / 8;

/** Channels of a map after padding by zeros: a multiple of 16, or as many as before if that is more than an eighth above. */
export function paddedChannels(channels: number): number {
  const padded = Math.ceil(channels / step) * step;
  return padded - channels > mostAdded * channels ? channels : padded;
}

/** Cuts a tensor to a shape that differs only in the first two axes, or fills it up with zeros. */
export function resized({ shape, data }: FloatTensor, to: Shape): FloatTensor {
  const result = floatTensor(to);
  const [width, newWidth] = [sizeOf(shape.slice(1)), sizeOf(to.slice(1))];
  for (let row = 0; row < Math.min(shape[0]!, to[0]!); row++) {
    const start = row * width;
    result.data.set(data.subarray(start, start + Math.min(width, newWidth)), row * newWidth);
  }
  return result;
}

/** Returns whether a stored weight is one of this shape, padded. */
export function isPadded(stored: Shape, shape: Shape): boolean {
  const fits = (size: number | undefined, axis: number) =>
    size === shape[axis] || (axis < 2 && size === paddedChannels(shape[axis]!));
  return !sameShape(stored, shape) && stored.length === shape.length && stored.every(fits);
}
