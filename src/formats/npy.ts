import type { FloatTensor } from "../tensor/tensor.ts";

/**
 * Encodes a tensor as a NumPy file (`numpy.load`), format version 1.0.
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export function encodeNpy({ shape, data }: FloatTensor): Uint8Array {
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${axes}), }`;
  // Magic, version and length of the header take 10 bytes; the data start at a multiple of 64.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const header = new TextEncoder().encode(`\u0093NUMPY\u0001\u0000  ${text.padEnd(length - 1)}\n`).subarray(1);
  const file = new Uint8Array(header.length + data.byteLength);
  file.set(header);
  const view = new DataView(file.buffer);
  file[0] = 0x93;
  view.setUint16(8, length, true);
  for (const [index, value] of data.entries()) view.setFloat32(header.length + 4 * index, value, true);
  return file;
}
