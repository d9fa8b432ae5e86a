/** Remainders of every byte, alone and followed by one to seven zero bytes: eight bytes are taken in one step. */
type Tables = readonly Uint32Array[];

/** Polynomials with their bits reflected. */
const zipTables = makeTables(0xedb88320);
const castagnoliTables = makeTables(0x82f63b78);

/**
 * The check sum that zip archives store.
 * @see ISO 3309
 */
export function crc32(bytes: Uint8Array): number {
  return remainder(bytes, zipTables);
}

/**
 * The check sum of TensorFlow's record files, iSCSI and many others: CRC-32C, after Castagnoli.
 * @see https://www.rfc-editor.org/rfc/rfc3720, appendix B.4
 */
export function crc32c(bytes: Uint8Array): number {
  return remainder(bytes, castagnoliTables);
}

/** @see Kounavis and Berry 2005, "slicing by 8" */
function remainder(bytes: Uint8Array, tables: Tables): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  const eights = bytes.length - (bytes.length % 8);
  let crc = 0xffffffff;
  let index = 0;
  for (; index < eights; index += 8) {
    crc ^= bytes[index]! | (bytes[index + 1]! << 8) | (bytes[index + 2]! << 16) | (bytes[index + 3]! << 24);
    crc =
      t7[crc & 255]! ^
      t6[(crc >>> 8) & 255]! ^
      t5[(crc >>> 16) & 255]! ^
      t4[crc >>> 24]! ^
      t3[bytes[index + 4]!]! ^
      t2[bytes[index + 5]!]! ^
      t1[bytes[index + 6]!]! ^
      t0[bytes[index + 7]!]!;
  }
  for (; index < bytes.length; index++) crc = t0[(crc ^ bytes[index]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

function makeTables(polynomial: number): Uint32Array[] {
  const first = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    return crc;
  });
  const all = [first];
  for (let zeros = 1; zeros < 8; zeros++) {
    all.push(all[zeros - 1]!.map((crc) => first[crc & 255]! ^ (crc >>> 8)));
  }
  return all;
}
