import { Zip, ZipPassThrough } from "fflate";
import { readZip } from "../../../src/formats/zip.ts";

/** A file in an archive. */
export interface ArchivedFile {
  readonly path: string;
  readonly file: Blob;
}

/** Bytes that are handed to the browser at a time, which may keep them on the disk. */
const partSize = 16 * 2 ** 20;

/** Writes a zip archive. Nothing is compressed: images already are. */
export async function writeArchive(files: readonly ArchivedFile[]): Promise<Blob> {
  const parts: Blob[] = [];
  let chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const flush = () => {
    parts.push(new Blob(chunks));
    chunks = [];
    size = 0;
  };
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    chunks.push(chunk as Uint8Array<ArrayBuffer>);
    size += chunk.length;
    if (size > partSize) flush();
  });
  for (const { path, file } of files) {
    const entry = new ZipPassThrough(path);
    zip.add(entry);
    entry.push(new Uint8Array(await file.arrayBuffer()), true);
  }
  zip.end();
  flush();
  return new Blob(parts, { type: "application/zip" });
}

/** Largest file that is read from an archive. */
const largestFile = 2 ** 28;

/**
 * Reads the images, the model and the description of a zip archive.
 * @throws {FormatError} it is damaged.
 */
export async function readArchive(archive: Blob): Promise<readonly ArchivedFile[]> {
  const bytes = new Uint8Array(await archive.arrayBuffer());
  const isWanted = (path: string) =>
    /\.(jpe?g|png|webp|avif|gif|bmp|onnx|json)$/i.test(path) && !/^__MACOSX/.test(path);
  const entries = readZip(bytes, (path) => (isWanted(path) ? largestFile : undefined), "archive");
  return [...entries].map(([path, content]) => {
    // As its file would have: the extension that it gets when it is exported again depends on it.
    const type = `image/${path.slice(path.lastIndexOf(".") + 1).toLowerCase()}`;
    return { path, file: new Blob([content as Uint8Array<ArrayBuffer>], { type }) };
  });
}
