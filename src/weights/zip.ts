import { unzipSync } from "fflate";
import { crc32 } from "../check-sums.ts";
import { FormatError } from "../errors.ts";

/** Weights hardly compress, and nobody tries. */
const largestExpansion = 8;
/** Bytes that the directory has for an entry, at the least. */
const directoryRecord = 46;
/** Descriptions of networks do compress. */
const largestSmallEntries = 2 ** 27;

export function isZip(bytes: Uint8Array): boolean {
  return [0x50, 0x4b, 0x03, 0x04].every((byte, offset) => bytes[offset] === byte);
}

/**
 * Unpacks the wanted entries of a zip archive and compares them with their check sums. The others are left alone, wherever
 * they would want to go.
 * @param limitOf most bytes that an entry of this name may have unpacked; undefined for one that is not wanted.
 * @param where what errors call the file.
 * @throws {FormatError} the archive is damaged, or an entry claims to be larger than it may be.
 */
export function readZip(
  bytes: Uint8Array,
  limitOf: (name: string) => number | undefined,
  where: string,
): ReadonlyMap<string, Uint8Array> {
  const entries = new Map(Object.entries(unzip(bytes, limitOf, where)));
  const sums = storedSums(bytes);
  for (const [name, content] of entries) {
    if (crc32(content) === sums.get(name)) continue;
    throw new FormatError({
      where: `${where}, entry ${name}`,
      what: "its content is not what its check sum says",
      remedy: "The file is damaged: copy or download it again.",
    });
  }
  return entries;
}

function unzip(bytes: Uint8Array, limitOf: (name: string) => number | undefined, where: string) {
  // Entries may overlap: each could be as large as the file.
  const most = largestSmallEntries + largestExpansion * bytes.length;
  let total = 0;
  let count = 0;
  try {
    return unzipSync(bytes, {
      filter: ({ name, size: packedSize, originalSize }) => {
        // A damaged directory may claim to have four thousand million entries, and fflate would look for them all.
        if (++count > bytes.length / directoryRecord) throw tooMany(where, bytes.length);
        const limit = limitOf(name);
        if (limit === undefined) return false;
        // Of an entry that is not packed, fflate takes as much as the packed size says.
        const size = Math.max(packedSize, originalSize);
        total += size;
        if (total > most) throw tooLarge(where, total, most);
        if (size > limit) throw tooLarge(`${where}, entry ${name}`, size, limit);
        return true;
      },
    });
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError({ where, what: `the zip archive is damaged (${reason})`, cause });
  }
}

/**
 * Check sums from the directory at the end of the archive, which fflate does not compare.
 * @see APPNOTE.TXT 4.3.12, 4.3.16, 4.3.14 (zip64)
 */
function storedSums(bytes: Uint8Array): ReadonlyMap<string, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sums = new Map<string, number>();
  let end = bytes.length - 22;
  while (end > 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  const wide = end >= 20 && view.getUint32(end - 20, true) === 0x07064b50;
  // A zip64 directory has its place in a record of its own, to which a locator before the end leads.
  let offset = wide ? wideOffset(view, end - 20) : view.getUint32(end + 16, true);
  while (offset + 46 <= bytes.length && view.getUint32(offset, true) === 0x02014b50) {
    const nameLength = view.getUint16(offset + 28, true);
    const more = view.getUint16(offset + 30, true) + view.getUint16(offset + 32, true);
    const name = new TextDecoder().decode(bytes.subarray(offset + 46, offset + 46 + nameLength));
    sums.set(name, view.getUint32(offset + 16, true));
    offset += 46 + nameLength + more;
  }
  return sums;
}

function wideOffset(view: DataView, locator: number): number {
  const record = Number(view.getBigUint64(locator + 8, true));
  return record + 56 <= view.byteLength ? Number(view.getBigUint64(record + 48, true)) : view.byteLength;
}

function tooMany(where: string, size: number): FormatError {
  return new FormatError({
    where,
    what: "the zip archive claims to have more entries than it can",
    expected: `at most ${Math.floor(size / directoryRecord)} in ${size} bytes`,
  });
}

function tooLarge(where: string, size: number, limit: number): FormatError {
  return new FormatError({
    where,
    what: "it claims to be larger than it can be",
    received: `${size} bytes`,
    expected: `at most ${limit}`,
  });
}
