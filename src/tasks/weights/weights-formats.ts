import { FormatError, UsageError } from "../../errors.ts";
import { kerasArchiveFormat, kerasHdf5Format } from "./format-keras.ts";
import { onnxFormat } from "./format-onnx.ts";
import { tfjsFormat } from "./format-tfjs.ts";
import { safetensorsFormat, torchFormat } from "./format-timm.ts";
import type { WeightsFile, WeightsFormat, WeightsSource } from "./weights-file.ts";

/** Every format that is read, in the order in which they are tried. A new one is a file `format-….ts` and a line here. */
const weightsFormats: readonly WeightsFormat[] = [
  kerasHdf5Format,
  torchFormat,
  kerasArchiveFormat,
  onnxFormat,
  safetensorsFormat,
  tfjsFormat,
];

/**
 * Opens a file of weights in whatever format its content is; its name does not matter.
 * @throws {FormatError} it is in none of the formats, or damaged.
 * @throws {UsageError} the source was opened before.
 */
export async function openWeightsFile(source: WeightsSource): Promise<WeightsFile> {
  const { bytes, where } = source;
  assertUnread(source);
  const format = weightsFormats.find(({ recognizes }) => recognizes(bytes));
  if (format) return format.open(source);
  const beginning = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  throw new FormatError({
    where,
    what: bytes.length === 0 ? "the file is empty" : "this is no file of weights that we know",
    ...(bytes.length > 0 && { received: `the bytes ${beginning} at offset 0` }),
    expected: weightsFormats.map(({ title }) => title).join(", "),
  });
}

/** The bytes of an earlier opening may have moved to another thread. */
function assertUnread({ bytes, where }: WeightsSource): void {
  try {
    new Uint8Array(bytes.buffer);
  } catch (cause) {
    const remedy = "Make another one with weightsSource.";
    throw new UsageError({ where, what: "this source was opened before, and its bytes are gone", remedy, cause });
  }
}
