/**
 * Lookup tables of 256 remainders each, for a byte followed by zero to seven zero bytes: eight bytes are processed per
 * step.
 */
type Table = Int32Array;

/** Polynomials with their bits reflected. */
const zipTable = makeTable(0xedb88320);
const castagnoliTable = makeTable(0x82f63b78);

/**
 * The checksum that zip archives store.
 * @see ISO 3309
 */
export function crc32(bytes: Uint8Array): number {
  return remainder(bytes, zipTable);
}

/**
 * The checksum of TensorFlow's record files, iSCSI and many others: CRC-32C, after Castagnoli.
 * @see https://www.rfc-editor.org/rfc/rfc3720, appendix B.4
 */
export function crc32c(bytes: Uint8Array): number {
  return remainder(bytes, castagnoliTable);
}

/** @see Kounavis and Berry 2005, "slicing by 8" */
function remainder(bytes: Uint8Array, table: Table): number {
  const { buffer, byteOffset, length } = bytes;
  // Whole words are read at once, so they must be aligned.
  const lead = Math.min(length, -byteOffset & 3);
  let crc = takeBytes(-1, bytes.subarray(0, lead), table);
  const words = new Int32Array(buffer, lead === length ? 0 : byteOffset + lead, 2 * Math.floor((length - lead) / 8));
  for (let index = 0; index < words.length; index += 2) {
    const first = crc ^ words[index]!;
    const second = words[index + 1]!;
    crc =
      table[1792 + (first & 255)]! ^
      table[1536 + ((first >>> 8) & 255)]! ^
      table[1280 + ((first >>> 16) & 255)]! ^
      table[1024 + (first >>> 24)]! ^
      table[768 + (second & 255)]! ^
      table[512 + ((second >>> 8) & 255)]! ^
      table[256 + ((second >>> 16) & 255)]! ^
      table[second >>> 24]!;
  }
  crc = takeBytes(crc, bytes.subarray(lead + words.byteLength), table);
  return ~crc >>> 0;
}

function takeBytes(begin: number, bytes: Uint8Array, table: Table): number {
  let crc = begin;
  for (const byte of bytes) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return crc;
}

function makeTable(polynomial: number): Table {
  const all = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    all[byte] = crc;
  }
  for (let index = 256; index < all.length; index++) {
    const crc = all[index - 256]!;
    all[index] = all[crc & 255]! ^ (crc >>> 8);
  }
  return all;
}

/** SHA-256 of the bytes of an array, or of a UTF-8 string, as 64 hexadecimal digits. */
export async function sha256(content: Uint8Array | Int32Array | Float32Array | string): Promise<string> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const digest = await crypto.subtle.digest("SHA-256", bytes as ArrayBufferView<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
