import { FormatError } from "../errors.ts";

/** An entry of a zip archive, as the directory at its end says. */
export interface ZipEntry {
  readonly name: string;
  /** How it is packed: 0 not at all, 8 deflated; others are hardly ever used. */
  readonly method: number;
  readonly checksum: number;
  readonly packedSize: number;
  readonly size: number;
  /** Of its local header. */
  readonly offset: number;
}

const wide = 0xffffffff;

/**
 * The entries of a zip archive, in the order of its directory.
 * @param where what errors call the file.
 * @throws {FormatError} there is no directory, or it is not whole.
 * @see APPNOTE.TXT 4.3.12, 4.3.16, 4.3.14 and 4.5.3 (zip64)
 */
export function zipDirectory(bytes: Uint8Array, where: string): ZipEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: ZipEntry[] = [];
  let { offset, count } = placeOfDirectory(view, where);
  for (; count > 0; count--) {
    if (offset + 46 > bytes.length || view.getUint32(offset, true) !== 0x02014b50) {
      throw damagedZip(`${where}, byte ${offset}`, "here should be an entry of its directory");
    }
    const nameLength = view.getUint16(offset + 28, true);
    const extraLength = view.getUint16(offset + 30, true);
    const end = offset + 46 + nameLength + extraLength + view.getUint16(offset + 32, true);
    if (end > bytes.length) throw damagedZip(`${where}, byte ${offset}`, "an entry of its directory is cut short");
    const name = new TextDecoder().decode(bytes.subarray(offset + 46, offset + 46 + nameLength));
    const sizes = wideSizes(view, offset, nameLength, extraLength);
    entries.push({
      name,
      method: view.getUint16(offset + 10, true),
      checksum: view.getUint32(offset + 16, true),
      ...sizes,
    });
    offset = end;
  }
  return entries;
}

/**
 * Where the packed bytes of an entry are.
 * @throws {FormatError} not in this archive.
 * @see APPNOTE.TXT 4.3.7
 */
export function packedBytes(bytes: Uint8Array, { name, offset, packedSize }: ZipEntry, where: string): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const place = `${where}, entry ${name} at byte ${offset}`;
  if (offset + 30 > bytes.length || view.getUint32(offset, true) !== 0x04034b50) {
    throw damagedZip(place, "here should be its header");
  }
  const begin = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
  if (begin + packedSize <= bytes.length) return bytes.subarray(begin, begin + packedSize);
  throw damagedZip(place, "it reaches beyond the end of the file");
}

export function damagedZip(where: string, reason: string, cause?: unknown): FormatError {
  return new FormatError({
    where,
    what: `the zip archive is damaged (${reason})`,
    remedy: "Is the file cut short? Copy or download it again.",
    cause,
  });
}

/** The end record is the last thing in the file, but for a comment of at most 65535 bytes. */
function placeOfDirectory(view: DataView, where: string): { offset: number; count: number } {
  const first = Math.max(0, view.byteLength - 22 - 0xffff);
  let end = view.byteLength - 22;
  while (end >= first && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < first) throw damagedZip(where, "there is no directory at its end");
  // A zip64 directory has its place in a record of its own, to which a locator before the end leads.
  if (end < 20 || view.getUint32(end - 20, true) !== 0x07064b50) {
    return { offset: view.getUint32(end + 16, true), count: view.getUint16(end + 10, true) };
  }
  const record = Number(view.getBigUint64(end - 20 + 8, true));
  if (record + 56 > view.byteLength) throw damagedZip(`${where}, byte ${end - 20}`, "it names no directory");
  return { offset: Number(view.getBigUint64(record + 48, true)), count: Number(view.getBigUint64(record + 32, true)) };
}

/** Sizes that do not fit 32 bits are in an extra field, those of them in this order. */
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
