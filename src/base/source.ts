import { DataError, FileError, ShapeError, UsageError } from "./errors.ts";
import type {
  DecodeOptions,
  DownloadLimits,
  FileSource,
  ImageCodec,
  ImageSource,
  NamedFile,
  RgbImage,
  Source,
  SourceReader,
} from "./platform.ts";

/** Returns whether a string is a URL, `https://…`, and not a path. */
export function isAddress(source: string): boolean {
  return /^[a-z][a-z\d+.-]+:\/\//i.test(source);
}

/** The name of a source: its path, its URL, or the name of a chosen file; bytes have none. */
export function nameOfSource(source: Source): string | undefined {
  if (typeof source === "string") return source;
  if (source instanceof URL) return source.href;
  if (areFiles(source)) return source[0]?.name;
  return source instanceof Blob && "name" in source ? String(source.name) : undefined;
}

/** Returns whether a source is several files. */
export function areFiles(source: Source): source is readonly NamedFile[] {
  return Array.isArray(source);
}

/** Describes an image in messages: by its path or URL, else by its size. */
export function describeSource(image: ImageSource): string {
  if (image instanceof Uint8Array || image instanceof ArrayBuffer) return `image of ${image.byteLength} bytes`;
  const name = isSource(image) ? nameOfSource(image) : undefined;
  return name === undefined ? "image" : `image "${name}"`;
}

/**
 * Reads the bytes of a source. Those of a path, a URL or a blob are owned by the caller.
 * @throws {FileError} the file does not exist, or cannot be read or downloaded.
 * @throws {UsageError} it is not a source, or the platform cannot read its kind.
 */
export async function readSource(
  source: Source,
  { files, downloads }: Pick<SourceReader, "files" | "downloads">,
  options?: DownloadLimits,
): Promise<Uint8Array> {
  if (areFiles(source) && source[0]) return new Uint8Array(await source[0].arrayBuffer());
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  const name = nameOfSource(source);
  if (name === undefined || name === "") {
    throw new UsageError({
      where: "source",
      what: "this is not a file",
      received: name ?? (source === null ? "null" : typeof source),
      expected: "a path, an address, a URL, a Blob, an ArrayBuffer or a Uint8Array",
    });
  }
  if (/^file:\/\//i.test(name) && URL.canParse(name)) {
    if (files) return files.read(new URL(name));
  } else if (isAddress(name)) {
    if (downloads) return downloads.read(name, options);
  } else if (files) return files.read(name);
  // Relative to the page.
  else if (downloads) return downloads.read(name, options);
  throw new UsageError({ where: `file "${name}"`, what: "this platform cannot read it", expected: "the file's bytes" });
}

/** Largest image to download, in bytes. */
const largestImage = 200e6;

/** An image file by its path, or its bytes. */
export type ImageFile = string | Uint8Array;

/** The image file decoder that a platform must provide. */
export interface ImageFileCodec extends Pick<ImageCodec, "encodePng"> {
  /** Same as {@link ImageCodec.decode}. */
  decode(file: ImageFile, options: DecodeOptions): Promise<RgbImage>;
}

/** Extends a codec of image files to all other kinds of image sources. */
export function imageCodec({ decode, encodePng }: ImageFileCodec, reader: SourceReader): ImageCodec {
  const isPath = (source: ImageSource) => typeof source === "string" && source !== "" && !isAddress(source);
  return {
    encodePng,
    async decode(source, options) {
      if (source instanceof Uint8Array || (isPath(source) && reader.files)) return decode(source as ImageFile, options);
      if (isSource(source))
        return decode(await readSource(source, reader, { sizeLimit: largestImage }).catch(asDataError), options);
      assertPixels(source);
      const { width = source.width, height = source.height } = options;
      if (width === source.width && height === source.height) return source;
      // PNG is lossless, and resizing stays in one place.
      return decode(await encodePng(source), options);
    },
  };
}

/** For the caller, an unreadable image file is bad data. */
function asDataError(error: unknown): never {
  if (!(error instanceof FileError)) throw error;
  const isDownload = error.parts.where.startsWith("download");
  const remedy = isDownload ? "Check the URL, or download the image and name the file." : error.parts.remedy;
  throw new DataError({ ...error.parts, ...(remedy !== undefined && { remedy }), cause: error });
}

function isSource(source: ImageSource): source is FileSource {
  return (
    (typeof source === "string" && source !== "") ||
    [URL, Blob, ArrayBuffer, Uint8Array].some((kind) => source instanceof kind)
  );
}

/**
 * @param where the image in messages.
 * @throws {UsageError} these are not pixels.
 * @throws {ShapeError} they do not fill their width and height.
 */
export function assertPixels(source: unknown, where = "image of raw pixels"): asserts source is RgbImage {
  const { width, height, data } = (source ?? {}) as RgbImage;
  if (!(data instanceof Uint8Array)) {
    throw new UsageError({
      where: "image",
      what: "this is not an image source",
      received: source === null ? "null" : source === "" ? "" : typeof source,
      expected:
        "a path, an address, a URL, a Blob, the bytes of an encoded image, or pixels {width, height, data: Uint8Array}",
    });
  }
  if (![width, height].every((side) => Number.isInteger(side) && side > 0)) {
    throw new UsageError({
      where,
      what: "it has no pixels",
      received: `${width}×${height}`,
      expected: "width and height from 1",
    });
  }
  if (data.length !== width * height * 3) {
    throw new ShapeError({
      where,
      what: "the data does not fill it",
      received: `${data.length} bytes for ${width}×${height} pixels`,
      expected: `${width * height * 3} bytes: red, green and blue of each pixel`,
    });
  }
}
