import { Inflate } from "fflate";
import { crc32 } from "../checksums.ts";
import { FormatError } from "../errors.ts";
import { damagedZip, packedBytes, type ZipEntry, zipDirectory } from "./zip-directory.ts";

/** Weights hardly compress, and nobody tries. */
const largestExpansion = 8;
/** Descriptions of networks do compress. */
const largestSmallEntries = 2 ** 27;
/** Of packed bytes, which stand for at most a thousand times as many. */
const partSize = 2 ** 14;

export function isZip(bytes: Uint8Array): boolean {
  return [0x50, 0x4b, 0x03, 0x04].every((byte, offset) => bytes[offset] === byte);
}

/**
 * Unpacks the wanted entries of a zip archive and compares them with their checksums. The others are left alone, wherever
 * they would want to go. What is not packed is a part of the archive's bytes, not a copy.
 * @param limitOf most bytes that an entry of this name may have unpacked; undefined for one that is not wanted.
 * @param where what errors call the file.
 * @throws {FormatError} the archive is damaged, or an entry claims to be larger than it may be.
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
    what: "its content is not what its checksum says",
    remedy: "The file is damaged: copy or download it again.",
  });
}

function inflated(packed: Uint8Array, { name, method, size }: ZipEntry, where: string): Uint8Array {
  const place = `${where}, entry ${name}`;
  if (method === 0) return packed;
  if (method !== 8) {
    throw new FormatError({
      where: place,
      what: "it is packed in an unusual way",
      received: method,
      expected: "0 or 8",
    });
  }
  const content = new Uint8Array(size);
  let reached = 0;
  const stream = new Inflate((piece) => {
    if (reached + piece.length > size) throw tooLarge(place, "it claims", reached + piece.length, size);
    content.set(piece, reached);
    reached += piece.length;
  });
  try {
    // In parts, so that what is larger than it says is given up early.
    for (let begin = 0; begin < packed.length; begin += partSize) {
      stream.push(packed.subarray(begin, begin + partSize), begin + partSize >= packed.length);
    }
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw damagedZip(place, cause instanceof Error ? cause.message : String(cause), cause);
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
