import { FormatError, UsageError } from "../base/errors.ts";
import type { Source, SourceReader } from "../base/platform.ts";
import { nameOfSource, readSource } from "../base/source.ts";
import type { FileToRead } from "../formats/format.ts";
import { kerasFileModule } from "../formats/keras/file.ts";
import { defaultName, familyNamed } from "../models/registry.ts";
import type { ModelDescription } from "./model-file.ts";

/** A file of weights to open. */
export interface WeightsSource extends FileToRead {
  /** License and provenance of the weights, if known beforehand. */
  readonly origin?: Pick<ModelDescription, "license" | "provenance">;
}

/**
 * Reads a file of weights, to be opened once.
 * @param source `imagenet` stands for the published weights of keras.applications.Xception; `includeTop` includes its
 * classifier, by default.
 * @param options `key` of the weights in a PyTorch checkpoint, names separated by `/`.
 * @throws {FileError} the file does not exist, or cannot be read.
 * @throws {UsageError} the source is of no known kind.
 */
export async function weightsSource(
  source: Source,
  reader: SourceReader,
  { includeTop = true, key }: { readonly includeTop?: boolean; readonly key?: string | undefined } = {},
): Promise<WeightsSource> {
  if (source === "imagenet") {
    const address = imagenetAddress(includeTop, reader.downloads?.mirror);
    return { ...(await weightsSource(address, reader)), origin: imagenetOrigin };
  }
  const { isolate } = reader;
  const name = nameOfSource(source);
  // In parallel with reading the bytes, whose content decides the format.
  if (/\.(h5|hdf5|keras)(#|$)/i.test(name ?? "")) isolate?.prepare?.(kerasFileModule);
  const bytes = await readSource(source, reader);
  const where = name === undefined ? `file of ${bytes.length} bytes` : `file "${name}"`;
  const readBeside = async (part: string): Promise<Uint8Array> => {
    assertInside(part, where);
    if (name === undefined || source instanceof Blob) {
      throw new UsageError({
        where,
        what: "its weights are in other files, whose folder is unknown",
        received: part,
        remedy: "Open it by its path.",
      });
    }
    return readSource(`${name.slice(0, Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1)}${part}`, reader);
  };
  const isDisposable = !(source instanceof Uint8Array || source instanceof ArrayBuffer);
  return { where, bytes, isDisposable, key, readBeside, ...(isolate && { isolate }) };
}

/** A file may refer to its parts, but not to other files: `../../secret`, `/etc/passwd`, `https:`, `C:`. */
function assertInside(name: string, where: string): void {
  const parts = name.split("/");
  if (!/[\\:\0]/.test(name) && parts.every((part) => part !== "" && part !== "." && part !== "..")) return;
  throw new FormatError({
    where,
    what: "it refers to a file outside its folder",
    received: name,
    expected: "a name relative to its own folder",
  });
}

const { folder: published, withTop, withoutTop, license, origin } = familyNamed(defaultName).published!;

/** License and provenance of models made from these weights. */
export const imagenetOrigin = { license, provenance: { weights: origin, source: published } };

/**
 * The address of these weights, with the file's MD5 as `#md5=`.
 * @param mirror address of another folder with the same files.
 * @see https://github.com/keras-team/keras/blob/master/keras/src/applications/xception.py
 */
function imagenetAddress(includeTop: boolean, mirror = published): string {
  if (!/^https?:\/\/./i.test(mirror)) {
    throw new UsageError({
      where: "mirror of the ImageNet weights (XCEPTION_WEIGHTS_URL)",
      what: "this is not a URL",
      received: mirror,
      expected: "the URL of a folder, http://… or https://…",
    });
  }
  const { name, md5 } = includeTop ? withTop : withoutTop;
  return `${mirror.replace(/\/?$/, "/")}${name}#md5=${md5}`;
}
