import { ShapeError } from "../base/errors.ts";

/** Sizes of a tensor's dimensions, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements of a tensor of this shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** `[299, 299, 3]` → `"299×299×3"`; a scalar is `"scalar"`. */
export function formatShape(shape: Shape): string {
  return shape.length === 0 ? "scalar" : shape.join("×");
}

/**
 * Broadcasts two shapes by the rule of NumPy and ONNX: aligned at the last axis, axes of size 1 are stretched.
 * @throws {ShapeError} two sizes differ and neither is 1.
 */
export function broadcastShapes(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const sizeA = a[axis - rank + a.length] ?? 1;
    const sizeB = b[axis - rank + b.length] ?? 1;
    if (sizeA !== sizeB && sizeA !== 1 && sizeB !== 1) {
      throw new ShapeError({
        where: "broadcast",
        what: `axis ${axis} has two sizes`,
        received: `${formatShape(a)} and ${formatShape(b)}`,
        expected: "equal sizes, or 1",
      });
    }
    return sizeA === 1 ? sizeB : sizeA;
  });
}

/** Distance in elements between neighbors along each axis of a tensor in C (row-major) order. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}
