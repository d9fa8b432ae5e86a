import type { Shape } from "../tensor/shape.ts";
import { type FloatTensor, transpose } from "../tensor/tensor.ts";
import type { WeightSpec } from "./layer-weights.ts";
import { engineShape, fromEngineLayout, toEngineLayout } from "./weights.ts";

/**
 * Shape of a weight in PyTorch's layout: kernels `[out, in, kh, kw]`, depthwise `[channels, 1, kh, kw]` as in the engine,
 * dense `[out, in]`, all others `[channels]`.
 */
export function torchShape(spec: WeightSpec): Shape {
  return spec.role === "denseKernel" ? spec.shape.toReversed() : engineShape(spec);
}

/** A weight in PyTorch's layout, from Keras's; the same object where the layouts agree. */
export function toTorchLayout(spec: WeightSpec, tensor: FloatTensor): FloatTensor {
  return spec.role === "denseKernel" ? transpose(tensor, [1, 0]) : toEngineLayout(spec, tensor);
}

/** A weight in Keras's layout, from PyTorch's; the same object where the layouts agree. */
export function fromTorchLayout(spec: WeightSpec, tensor: FloatTensor): FloatTensor {
  return spec.role === "denseKernel" ? transpose(tensor, [1, 0]) : fromEngineLayout(spec, tensor);
}
