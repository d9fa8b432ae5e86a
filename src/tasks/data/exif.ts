/**
 * Returns the EXIF orientation of a JPEG, 2 to 8 if it is shown rotated or mirrored; 1 if not, or if nothing states it.
 * @see https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf
 */
export function exifOrientation(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8) return 1;
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda; ) {
    const end = at + 2 + view.getUint16(at + 2);
    const isExif = bytes[at + 1] === 0xe1 && at + 10 <= bytes.length && view.getUint32(at + 4) === 0x45786966;
    if (isExif) return orientationIn(view, at + 10, Math.min(end, bytes.length));
    at = end;
  }
  return 1;
}

/** @param start of the TIFF header. */
function orientationIn(view: DataView, start: number, end: number): number {
  if (start + 8 > end) return 1;
  const isLittle = view.getUint16(start) === 0x4949;
  const directory = start + view.getUint32(start + 4, isLittle);
  if (directory + 2 > end) return 1;
  const entries = view.getUint16(directory, isLittle);
  for (let at = directory + 2; at + 12 <= Math.min(end, directory + 2 + 12 * entries); at += 12) {
    if (view.getUint16(at, isLittle) !== 0x0112) continue;
    const value = view.getUint16(at + 8, isLittle);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}
