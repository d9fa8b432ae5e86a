/** What a BMP file is made of. */
export interface BmpParts {
  readonly width: number;
  readonly height: number;
  readonly bits: number;
  readonly compression?: number;
  readonly header?: number;
  /** Blue, green, red and one more byte each. */
  readonly palette?: readonly (readonly number[])[];
  /** Little-endian, after the first 40 bytes of the header. */
  readonly masks?: readonly number[];
  readonly pixels: readonly number[];
  readonly colors?: number;
}

/** A BMP file as other programs write it. */
export function bmp({
  width,
  height,
  bits,
  compression = 0,
  header = 40,
  palette = [],
  masks = [],
  pixels,
  colors,
}: BmpParts) {
  const extra = header === 40 ? 4 * masks.length : 0;
  const start = 14 + header + extra + palette.flat().length;
  const bytes = Buffer.alloc(start + pixels.length);
  bytes.write("BM");
  bytes.writeUInt32LE(bytes.length, 2);
  bytes.writeUInt32LE(start, 10);
  bytes.writeUInt32LE(header, 14);
  if (header === 12) {
    for (const [index, value] of [width, height, 1, bits].entries()) bytes.writeUInt16LE(value, 18 + 2 * index);
  } else {
    bytes.writeInt32LE(width, 18);
    bytes.writeInt32LE(height, 22);
    bytes.writeUInt16LE(1, 26);
    bytes.writeUInt16LE(bits, 28);
    bytes.writeUInt32LE(compression, 30);
    bytes.writeUInt32LE(colors ?? 0, 46);
    for (const [index, mask] of masks.entries()) bytes.writeUInt32LE(mask >>> 0, 54 + 4 * index);
  }
  bytes.set(palette.flat(), 14 + header + extra);
  bytes.set(pixels, start);
  return new Uint8Array(bytes);
}
