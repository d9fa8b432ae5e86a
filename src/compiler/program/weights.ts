import { type ProgramWeights, storedBytes } from "../../graph/program.ts";
import type { StoredType } from "../../graph/weights.ts";
import { toHalf } from "../../tensor/half.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";

/** Filters to a panel of a matrix, as the kernel `conv` reads it. */
export const panelWidth = 8;

/** Weights as they are stored. */
export interface StoredWeights extends Omit<ProgramWeights, "start" | "address"> {
  readonly bytes: Uint8Array;
}

/** A convolution's kernel `[K, C, kh, kw]` in panels of 8 filters, `[K / 8, kh·kw·C, 8]`, filled up with zeros. */
export function packKernel({ shape, data }: FloatTensor): Float32Array {
  const [filters, channels, height, width] = shape as [number, number, number, number];
  const positions = height * width;
  const depth = channels * positions;
  const rows = Int32Array.from({ length: depth }, (_, row) => {
    return (row % channels) * positions + Math.floor(row / channels);
  });
  return pack(data, rows, filters, depth);
}

/** A matrix `[K, N]`, or its transpose, in panels of 8 columns. */
export function packMatrix({ shape, data }: FloatTensor, isTransposed: boolean): Float32Array {
  const [depth, columns] = (isTransposed ? shape.toReversed() : shape) as [number, number];
  const rows = Int32Array.from({ length: depth }, (_, row) => (isTransposed ? row : row * columns));
  return pack(data, rows, columns, isTransposed ? depth : 1);
}

/** @param rows where each row starts; `stride` is the distance from column to column. */
function pack(data: Float32Array, rows: Int32Array, columns: number, stride: number): Float32Array {
  const packed = new Float32Array(Math.ceil(columns / panelWidth) * rows.length * panelWidth);
  for (let first = 0; first < columns; first += panelWidth) {
    const lanes = Math.min(panelWidth, columns - first);
    const start = first * rows.length;
    for (let row = 0; row < rows.length; row++) {
      const source = rows[row]! + first * stride;
      for (let lane = 0; lane < lanes; lane++) packed[start + row * panelWidth + lane] = data[source + lane * stride]!;
    }
  }
  return packed;
}

/** A depthwise kernel `[C, 1, kh, kw]` as `[kh, kw, C]`. */
export function packDepthwise({ shape, data }: FloatTensor): Float32Array {
  const channels = shape[0]!;
  const positions = data.length / channels;
  const packed = new Float32Array(data.length);
  for (let channel = 0; channel < channels; channel++) {
    for (let position = 0; position < positions; position++) {
      packed[position * channels + channel] = data[channel * positions + position]!;
    }
  }
  return packed;
}

/**
 * Encodes weights.
 * @param panel numbers to a panel of a packed matrix; other weights are not rounded to int8 but to float16.
 */
export function storeWeight(values: Float32Array, type: StoredType, panel?: number): StoredWeights {
  const count = values.length;
  if (type === "float32") return { count, type, bytes: bytesOf(values) };
  if (type === "float16" || panel === undefined) return { count, type: "float16", bytes: bytesOf(toHalf(values)) };
  const scales = panelScales(values, panel);
  const bytes = new Uint8Array(storedBytes({ count, type, panel }));
  bytes.set(bytesOf(scales));
  const rounded = new Int8Array(bytes.buffer, scales.byteLength);
  for (let index = 0; index < count; index++) {
    const scale = scales[columnOf(index, panel)]!;
    rounded[index] = scale === 0 ? 0 : Math.round(values[index]! / scale);
  }
  return { count, type, panel, bytes };
}

/** For each column, a 127th of its largest absolute value. */
function panelScales(values: Float32Array, panel: number): Float32Array {
  const scales = new Float32Array((values.length / panel) * panelWidth);
  for (let index = 0; index < values.length; index++) {
    const column = columnOf(index, panel);
    scales[column] = Math.max(scales[column]!, Math.abs(values[index]!) / 127);
  }
  return scales;
}

/** The column of a number of a packed matrix. */
function columnOf(index: number, panel: number): number {
  return Math.floor(index / panel) * panelWidth + (index % panelWidth);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
