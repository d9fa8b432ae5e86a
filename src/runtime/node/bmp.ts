import { FormatError } from "../../base/errors.ts";

/** Sizes of the known headers: OS/2 1 and 2, Windows 3 to 5, and two of Adobe. */
export const bmpHeaderSizes = [12, 40, 52, 56, 64, 108, 124] as const;

/** Header of a BMP file. */
export interface BmpHeader {
  readonly width: number;
  readonly height: number;
  /** True if the first row of the file is the top one. */
  readonly topDown: boolean;
  /** Bits of a pixel. */
  readonly bits: number;
  /** 0: none; 1 and 2: run lengths of 8 and 4 bits; 3 and 6: bit fields. */
  readonly compression: number;
  /** Offsets of the pixels, the color table and the masks. */
  readonly pixels: number;
  readonly palette: number;
  readonly paletteEntry: 3 | 4;
  readonly paletteSize: number;
  /** Masks of red, green, blue and alpha. */
  readonly masks: readonly [number, number, number, number];
}

/** Bits of a pixel that each compression stores. */
const bitsOf: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16, 24, 32],
  1: [8],
  2: [4],
  3: [16, 32],
  6: [16, 32],
};

/**
 * Reads the header of a BMP file.
 * @throws {FormatError} it is damaged, cut short, or of a rare kind: embedded JPEG or PNG.
 * @see https://learn.microsoft.com/en-us/windows/win32/api/wingdi/ns-wingdi-bitmapv5header
 */
export function readBmpHeader(bytes: Uint8Array, where: string): BmpHeader {
  const file = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = bytes.length < 18 ? 0 : file.getUint32(14, true);
  if (bytes.length < 14 + size || size < 12) throw damaged(where, "its header is cut short");
  const isCore = size === 12;
  const [width, height] = isCore
    ? [file.getUint16(18, true), file.getUint16(20, true)]
    : [file.getInt32(18, true), file.getInt32(22, true)];
  const bits = file.getUint16(isCore ? 24 : 28, true);
  const compression = isCore ? 0 : file.getUint32(30, true);
  if (width < 1 || height === 0) throw damaged(where, `it has ${width}×${Math.abs(height)} pixels`);
  if (!bitsOf[compression]?.includes(bits)) {
    const what = "this kind of BMP is not supported";
    const received = `compression ${compression} with ${bits} bits per pixel`;
    throw new FormatError({ where, what, received, expected: "1 to 32 bits, uncompressed, run lengths or bit fields" });
  }
  // Short headers have their masks behind them.
  const maskCount = compression === 6 ? 4 : compression === 3 ? 3 : 0;
  const inside = size >= 52 && size !== 64;
  const extra = inside ? 0 : 4 * maskCount;
  if (bytes.length < 14 + size + extra) throw damaged(where, "its masks are cut short");
  const mask = (index: number): number => {
    const isThere = index < maskCount || (index === 3 && maskCount > 0 && inside && size >= 56);
    return isThere ? file.getUint32(54 + 4 * index, true) : 0;
  };
  const usual = bits === 16 ? ([0x7c00, 0x3e0, 0x1f, 0] as const) : ([0xff0000, 0xff00, 0xff, 0] as const);
  const colors = isCore ? 0 : file.getUint32(46, true);
  return {
    ...{ width, height: Math.abs(height), topDown: height < 0, bits, compression },
    pixels: file.getUint32(10, true),
    palette: 14 + size + extra,
    paletteEntry: isCore ? 3 : 4,
    paletteSize: bits > 8 ? 0 : colors === 0 ? 2 ** bits : Math.min(colors, 2 ** bits),
    masks: maskCount === 0 ? usual : [mask(0), mask(1), mask(2), mask(3)],
  };
}

/**
 * Decodes the pixels of a BMP file: red, green, blue and alpha, from the top left.
 * @throws {FormatError} it is cut short or damaged.
 */
export function decodeBmp(bytes: Uint8Array, header: BmpHeader, where: string): Uint8Array {
  const { width, height, compression, pixels, palette, paletteEntry, paletteSize, bits } = header;
  if (pixels < palette || pixels > bytes.length) throw damaged(where, "its pixels start outside of it");
  const output = new Uint8Array(4 * width * height);
  const colors = new Uint8Array(4 * 256);
  for (let index = 0; index < 256; index++) {
    const at = palette + paletteEntry * index;
    if (index < paletteSize && at + 3 <= pixels) colors.set([bytes[at + 2]!, bytes[at + 1]!, bytes[at]!], 4 * index);
    colors[4 * index + 3] = 255;
  }
  const put = (x: number, row: number, index: number) => {
    const y = header.topDown ? row : height - 1 - row;
    output.set(colors.subarray(4 * index, 4 * index + 4), 4 * (y * width + x));
  };
  if (compression === 1 || compression === 2) {
    for (let row = 0; row < height; row++) for (let x = 0; x < width; x++) put(x, row, 0);
    unpackRuns(bytes, header, where, put);
    return output;
  }
  const rowBytes = 4 * Math.ceil((width * bits) / 32);
  // Some programs leave out the padding of the last row.
  if (bytes.length < pixels + rowBytes * (height - 1) + Math.ceil((width * bits) / 8)) {
    throw damaged(where, "its pixels are cut short");
  }
  for (let row = 0; row < height; row++) {
    const start = pixels + row * rowBytes;
    if (bits <= 8) {
      for (let x = 0; x < width; x++) {
        const place = x * bits;
        put(x, row, (bytes[start + (place >> 3)]! >> (8 - bits - (place & 7))) & (2 ** bits - 1));
      }
    } else {
      const y = header.topDown ? row : height - 1 - row;
      unpackRow(bytes, start, header, output.subarray(4 * y * width, 4 * (y + 1) * width));
    }
  }
  return output;
}

/** Unpacks a row of 16, 24 or 32 bits. */
function unpackRow(bytes: Uint8Array, start: number, { bits, masks }: BmpHeader, target: Uint8Array): void {
  const size = bits / 8;
  const channels = masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
    const most = mask >>> shift;
    return { mask, shift, factor: most === 0 ? 0 : 255 / most };
  });
  for (let x = 0; 4 * x < target.length; x++) {
    let value = 0;
    for (let byte = size - 1; byte >= 0; byte--) value = (value << 8) | bytes[start + x * size + byte]!;
    for (const [index, { mask, shift, factor }] of channels.entries()) {
      target[4 * x + index] = index === 3 && mask === 0 ? 255 : Math.round(((value & mask) >>> shift) * factor);
    }
  }
}

/** Unpacks run lengths of 8 or 4 bits; pixels that they skip keep the first color. */
function unpackRuns(
  bytes: Uint8Array,
  { width, height, pixels, bits }: BmpHeader,
  where: string,
  put: (x: number, row: number, index: number) => void,
): void {
  let at = pixels;
  let [x, row] = [0, 0];
  const next = (): number => {
    if (at >= bytes.length) throw damaged(where, "its pixels are cut short");
    return bytes[at++]!;
  };
  const write = (index: number): void => {
    if (x < width && row < height) put(x, row, index);
    x++;
  };
  const nibble = (byte: number, index: number) => (bits === 8 ? byte : index % 2 === 0 ? byte >> 4 : byte & 15);
  for (;;) {
    const [count, value] = [next(), next()];
    if (count > 0) {
      for (let index = 0; index < count; index++) write(nibble(value, index));
    } else if (value === 0) {
      [x, row] = [0, row + 1];
    } else if (value === 1) {
      return;
    } else if (value === 2) {
      [x, row] = [x + next(), row + next()];
    } else {
      const start = at;
      for (let index = 0, byte = 0; index < value; index++) {
        if (bits === 8 || index % 2 === 0) byte = next();
        write(nibble(byte, index));
      }
      // Padded to whole words.
      if ((at - start) % 2 === 1) next();
    }
    if (row >= height && count === 0 && value !== 0) return;
  }
}

function damaged(where: string, reason: string): FormatError {
  return new FormatError({ where, what: `the image is damaged or cut short (${reason})` });
}
