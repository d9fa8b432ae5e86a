import { Inflate } from "fflate";
import { crc32 } from "../base/checksums.ts";
import { FormatError, messageOf } from "../base/errors.ts";

/** A file of weights may expand to this many times its size: weights hardly compress, and nobody tries. */
export const largestExpansion = 8;
/** Descriptions of networks do compress. */
const largestSmallEntries = 2 ** 27;
/** Compressed bytes to inflate at a time; they expand at most a thousandfold. */
const partSize = 2 ** 14;

/**
 * Unpacks entries of a zip archive and verifies their checksums. All other entries are ignored, whatever path they have.
 * Uncompressed entries are views of the archive's bytes, not copies.
 * @param limitOf largest uncompressed size of an entry of this name; undefined for entries to ignore.
 * @param where the file's name in errors.
 * @throws {FormatError} the archive is damaged, or an entry is larger than allowed.
 */
export function readZip(
  bytes: Uint8Array,
  limitOf: (name: string) => number | undefined,
  where: string,
): ReadonlyMap<string, Uint8Array> {
  const wanted = zipDirectory(bytes, where).filter(({ name }) => limitOf(name) !== undefined);
  // Entries may overlap: each could be as large as the file.
  const most = largestSmallEntries + largestExpansion * bytes.length;
  let total = 0;
  for (const { name, size } of wanted) {
    total += size;
    const place = `${where}, entry ${name}`;
    const limit = limitOf(name)!;
    if (size > limit) throw tooLarge(place, "it claims", size, limit);
    if (total > most) throw tooLarge(place, "with the entries before it, it claims", total, most);
  }
  return new Map(wanted.map((entry) => [entry.name, unpacked(bytes, entry, where)]));
}

function unpacked(bytes: Uint8Array, entry: ZipEntry, where: string): Uint8Array {
  const content = inflated(packedBytes(bytes, entry, where), entry, where);
  if (content.length === entry.size && crc32(content) === entry.checksum) return content;
  throw new FormatError({
    where: `${where}, entry ${entry.name}`,
    what: "its content does not match its checksum",
    remedy: "The file is damaged: copy or download it again.",
  });
}

function inflated(packed: Uint8Array, { name, method, size }: ZipEntry, where: string): Uint8Array {
  const place = `${where}, entry ${name}`;
  if (method === 0) return packed;
  if (method !== 8) {
    const what = "unsupported compression method";
    throw new FormatError({ where: place, what, received: method, expected: "0 or 8" });
  }
  const content = new Uint8Array(size);
  let reached = 0;
  const stream = new Inflate((piece) => {
    if (reached + piece.length > size) throw tooLarge(place, "it claims", reached + piece.length, size);
    content.set(piece, reached);
    reached += piece.length;
  });
  try {
    // In chunks, to stop early if the content is larger than declared in the directory.
    for (let begin = 0; begin < packed.length; begin += partSize) {
      stream.push(packed.subarray(begin, begin + partSize), begin + partSize >= packed.length);
    }
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw damagedZip(place, messageOf(cause), cause);
  }
  return content.subarray(0, reached);
}

function tooLarge(where: string, what: string, size: number, limit: number): FormatError {
  return new FormatError({
    where,
    what: `${what} to be larger than it can be`,
    received: `${size} bytes`,
    expected: `at most ${limit}`,
  });
}

/** The error of a file whose contents expand to more than `largestExpansion` times its size. */
export function oversizedError(where: string, size: number, fileSize: number): FormatError {
  return new FormatError({
    where,
    what: "the file claims to hold more than it can",
    received: `${size} bytes so far in a file of ${fileSize}`,
    expected: `at most ${largestExpansion} times its size`,
  });
}

/** An entry of a zip archive, from the directory at its end. */
interface ZipEntry {
  readonly name: string;
  /** Compression: 0 none, 8 deflate. */
  readonly method: number;
  readonly checksum: number;
  readonly packedSize: number;
  readonly size: number;
  /** Offset of its local header. */
  readonly offset: number;
}

const wide = 0xffffffff;

/**
 * Lists the entries of a zip archive, in the order of its directory.
 * @throws {FormatError} the directory is missing or damaged.
 * @see APPNOTE.TXT 4.3.12, 4.3.16, 4.3.14 and 4.5.3 (zip64)
 */
function zipDirectory(bytes: Uint8Array, where: string): ZipEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: ZipEntry[] = [];
  let { offset, count } = directoryPlace(view, where);
  for (; count > 0; count--) {
    if (offset + 46 > bytes.length || view.getUint32(offset, true) !== 0x02014b50) {
      throw damagedZip(`${where}, byte ${offset}`, "expected a directory entry here");
    }
    const nameLength = view.getUint16(offset + 28, true);
    const extraLength = view.getUint16(offset + 30, true);
    const end = offset + 46 + nameLength + extraLength + view.getUint16(offset + 32, true);
    if (end > bytes.length) throw damagedZip(`${where}, byte ${offset}`, "a directory entry is truncated");
    entries.push({
      name: new TextDecoder().decode(bytes.subarray(offset + 46, offset + 46 + nameLength)),
      method: view.getUint16(offset + 10, true),
      checksum: view.getUint32(offset + 16, true),
      ...wideSizes(view, offset, nameLength, extraLength),
    });
    offset = end;
  }
  return entries;
}

/**
 * The compressed bytes of an entry.
 * @throws {FormatError} they are not in this archive.
 * @see APPNOTE.TXT 4.3.7
 */
function packedBytes(bytes: Uint8Array, { name, offset, packedSize }: ZipEntry, where: string): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const place = `${where}, entry ${name} at byte ${offset}`;
  if (offset + 30 > bytes.length || view.getUint32(offset, true) !== 0x04034b50) {
    throw damagedZip(place, "expected its header here");
  }
  const begin = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
  if (begin + packedSize <= bytes.length) return bytes.subarray(begin, begin + packedSize);
  throw damagedZip(place, "it extends beyond the end of the file");
}

function damagedZip(where: string, reason: string, cause?: unknown): FormatError {
  const remedy = "Is the file truncated? Copy or download it again.";
  return new FormatError({ where, what: `the zip archive is damaged (${reason})`, remedy, cause });
}

/** The end record is the last thing in the file, except for a comment of at most 65535 bytes. */
function directoryPlace(view: DataView, where: string): { offset: number; count: number } {
  const first = Math.max(0, view.byteLength - 22 - 0xffff);
  let end = view.byteLength - 22;
  while (end >= first && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < first) throw damagedZip(where, "no directory at its end");
  // A zip64 directory's offset is in a separate record, which a locator before the end points to.
  if (end < 20 || view.getUint32(end - 20, true) !== 0x07064b50) {
    return { offset: view.getUint32(end + 16, true), count: view.getUint16(end + 10, true) };
  }
  const record = Number(view.getBigUint64(end - 20 + 8, true));
  if (record + 56 > view.byteLength) throw damagedZip(`${where}, byte ${end - 20}`, "it points to no directory");
  return { offset: Number(view.getBigUint64(record + 48, true)), count: Number(view.getBigUint64(record + 32, true)) };
}

/** Sizes that do not fit 32 bits are in an extra field, in this order. */
function wideSizes(view: DataView, header: number, nameLength: number, extraLength: number) {
  let size = view.getUint32(header + 24, true);
  let packedSize = view.getUint32(header + 20, true);
  let offset = view.getUint32(header + 42, true);
  const end = header + 46 + nameLength + extraLength;
  for (let field = header + 46 + nameLength; field + 4 <= end; field += 4 + view.getUint16(field + 2, true)) {
    if (view.getUint16(field, true) !== 1) continue;
    let place = field + 4;
    const next = (): number => {
      place += 8;
      return place <= end ? Number(view.getBigUint64(place - 8, true)) : wide;
    };
    if (size === wide) size = next();
    if (packedSize === wide) packedSize = next();
    if (offset === wide) offset = next();
    break;
  }
  return { size, packedSize, offset };
}
