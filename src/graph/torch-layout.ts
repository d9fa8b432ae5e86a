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

/** Converts a weight from Keras's layout to PyTorch's; returns the same object if the layouts agree. */
export function toTorchLayout(spec: WeightSpec, tensor: FloatTensor): FloatTensor {
  return spec.role === "denseKernel" ? transpose(tensor, [1, 0]) : toEngineLayout(spec, tensor);
}

/** Converts a weight from PyTorch's layout to Keras's; returns the same object if the layouts agree. */
export function fromTorchLayout(spec: WeightSpec, tensor: FloatTensor): FloatTensor {
  return spec.role === "denseKernel" ? transpose(tensor, [1, 0]) : fromEngineLayout(spec, tensor);
}
