import type { Padding, Size2 } from "./layers.ts";

/**
 * Keras's name for the padding of a window. Without a stride, half a window on every side is `same`; with one, that
 * depends on the image's size. Undefined if Keras has no name for it.
 */
export function namedPadding(padding: Padding, window: Size2, strides: Size2): "valid" | "same" | undefined {
  if (typeof padding === "string") return padding;
  if (padding.every((size) => size === 0)) return "valid";
  const isSame = padding.every((size, axis) => strides[axis] === 1 && window[axis] === 2 * size + 1);
  return isSame ? "same" : undefined;
}
