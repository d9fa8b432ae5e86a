import { sizeOf } from "../../tensor/shape.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { bytesPerNumber, decodeFloats, type NumberFormat } from "../number-formats.ts";
import type { TfjsWeight } from "./manifest.ts";

const formats = {
  float32: "F32",
  float16: "F16",
  int32: "I32",
  bool: "BOOL",
  uint8: "U8",
  uint16: "U16",
} as const satisfies Record<string, NumberFormat>;

/** How many bytes a weight takes. */
export function byteLengthOf(weight: TfjsWeight): number {
  return sizeOf(weight.shape) * bytesPerNumber[formatOf(weight)];
}

/**
 * The numbers of a weight. Quantized ones are `value · scale + min`.
 * @param bytes as many as `byteLengthOf` says.
 * @see https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/io_utils.ts, `decodeWeights`
 */
export function valuesOf(weight: TfjsWeight, bytes: Uint8Array): FloatTensor {
  const { shape, dtype, quantization } = weight;
  const tensor = decodeFloats({ format: formatOf(weight), shape, bytes });
  if (!quantization || quantization.dtype === "float16") return tensor;
  const { min, scale } = quantization;
  const wanted = (value: number): number => (dtype === "int32" ? Math.round(value * scale + min) : value * scale + min);
  return { ...tensor, data: tensor.data.map(wanted) };
}

function formatOf({ dtype, quantization }: TfjsWeight): NumberFormat {
  return formats[quantization?.dtype ?? dtype];
}
