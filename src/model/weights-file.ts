import { FileError, FormatError, UsageError } from "../base/errors.ts";
import { hubAddress, isHubAddress, parseHubAddress } from "../base/hub-address.ts";
import type { Source, SourceReader } from "../base/platform.ts";
import { areFiles, isAddress, nameOfSource, readSource } from "../base/source.ts";
import type { FileToRead } from "../formats/format.ts";
import type { PublishedDescription, WhoseWeights } from "./published-weights.ts";

/** A file of weights to open. */
export interface WeightsSource extends FileToRead {
  /** Description of the weights by their publisher; the file's own document has priority. */
  readonly published?: PublishedDescription;
}

/** Options of {@link weightsSource}. */
export interface WeightsSourceOptions {
  /** With `imagenet`, the network whose weights they are; default `xception`. */
  readonly architecture?: WhoseWeights | undefined;
  /** With `imagenet`, includes its classifier; default true. */
  readonly includeTop?: boolean | undefined;
  /** Key of the weights in a PyTorch checkpoint, names separated by `/`. */
  readonly key?: string | undefined;
}

/**
 * Reads a file of weights, to be opened once.
 * @param source besides files: `imagenet`, the weights of keras.applications; the name of a repository in {@link namedWeights}, all
 * of which are timm's, or any other on Hugging Face as `hf://owner/repo[@revision][/file]`.
 * @throws {FileError} the file does not exist, or cannot be read.
 * @throws {UsageError} the source is of no known kind.
 */
export async function weightsSource(
  source: Source,
  reader: SourceReader,
  options: WeightsSourceOptions = {},
): Promise<WeightsSource> {
  const name = nameOfSource(source);
  // Others are not looked up, because a browser would load the list for it.
  const mayBePublished = name !== undefined && (name === "imagenet" || isHubAddress(name) || name.startsWith("timm/"));
  if (!mayBePublished) return fileSource(source, reader, options);
  const { hubAddressNamed, imagenetAddress, imagenetOrigin } = await import("./published-weights.ts");
  if (source === "imagenet") {
    const address = imagenetAddress({ ...options, mirror: reader.downloads?.mirror });
    return { ...(await fileSource(address, reader, options)), published: imagenetOrigin(options.architecture) };
  }
  const address = isHubAddress(name) ? name : hubAddressNamed(source);
  return address === undefined ? fileSource(source, reader, options) : hubSource(address, reader, options);
}

/** Opens the weights of a repository on Hugging Face, with the description in its `config.json`. */
async function hubSource(address: string, reader: SourceReader, options: WeightsSourceOptions): Promise<WeightsSource> {
  const place = parseHubAddress(address);
  const configAddress = hubAddress(place, "config.json");
  const config = await readSource(configAddress, reader).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  const [{ parseHubConfig }, { namedWeights, weightsNames }] = await Promise.all([
    import("./hub-config.ts"),
    import("./published-weights.ts"),
  ]);
  const { license } = namedWeights.find(({ name }) => name === place.repo) ?? {};
  const published = {
    ...(license !== undefined && { license }),
    ...(config && parseHubConfig(new TextDecoder().decode(config), `file "${configAddress}"`)),
    provenance: { weights: address.replace(/^hf:\/\//i, ""), source: address },
  };
  let missing: FileError | undefined;
  for (const file of place.file === undefined ? weightsNames : [place.file]) {
    try {
      return { ...(await fileSource(hubAddress(place, file), reader, options)), published };
    } catch (error) {
      if (!isMissing(error)) throw error;
      missing ??= error;
    }
  }
  throw missing!;
}

function isMissing(error: unknown): error is FileError {
  return error instanceof FileError && error.isMissing;
}

async function fileSource(source: Source, reader: SourceReader, options: WeightsSourceOptions): Promise<WeightsSource> {
  const { isolate, downloads } = reader;
  const name = nameOfSource(source);
  // In parallel with reading the bytes, whose content decides the format.
  if (isolate?.prepare && /\.(h5|hdf5|keras)(#|$)/i.test(name ?? "")) {
    void import("../formats/keras/file.ts").then(({ kerasFileModule }) => isolate?.prepare?.(kerasFileModule));
  }
  const bytes = await readSource(source, reader);
  const cached = name !== undefined && isAddress(name) ? await downloads?.cached?.(name) : undefined;
  const place = cached === undefined ? "" : ` (cached as ${cached})`;
  const where = name === undefined ? `file of ${bytes.length} bytes` : `file "${name}"${place}`;
  const readBeside = async (part: string): Promise<Uint8Array> => {
    assertInside(part, where);
    if (areFiles(source)) {
      const found = source.find((file) => file.name === part);
      if (found) return readSource(found, reader);
      const received = source.map((file) => file.name);
      throw new FileError(
        { where, what: `it refers to "${part}", which is not among the files`, received },
        { isMissing: true },
      );
    }
    if (name === undefined || source instanceof Blob) {
      throw new UsageError({
        where,
        what: "its weights are in other files, whose folder is unknown",
        received: part,
        remedy: "Open it by its path, or together with them.",
      });
    }
    return readSource(`${name.slice(0, Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1)}${part}`, reader);
  };
  const isDisposable = !(source instanceof Uint8Array || source instanceof ArrayBuffer);
  const { key } = options;
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
