import { sha256 } from "../../checksums.ts";
import { FormatError } from "../../errors.ts";
import type { FloatTensor, Tensor } from "../../tensor/tensor.ts";
import { floatTensor } from "../../tensor/tensor.ts";
import { decodeFloats } from "../../weights/number-formats.ts";
import { readSafetensors, writeSafetensors } from "../../weights/safetensors.ts";

/** What the frozen part of a network makes of images. */
export interface Features {
  /** `[rows, channels]` */
  readonly values: FloatTensor;
  /** `[rows]`, the sample of each row: an index into the data set. */
  readonly samples: Uint32Array;
}

const format = "xception-ts features";

/**
 * Features as the bytes of a `.safetensors` file.
 * @param key what they are of: other images, weights or settings have another one.
 */
export async function encodeFeatures({ values, samples }: Features, key: string): Promise<Uint8Array> {
  const indices: Tensor<"int32"> = { type: "int32", shape: [samples.length], data: Int32Array.from(samples) };
  const metadata = new Map([
    ["format", format],
    ["key", key],
    ["sha256", await checksumOf(values.data, indices.data)],
  ]);
  return writeSafetensors(
    new Map<string, Tensor>([
      ["features", values],
      ["samples", indices],
    ]),
    metadata,
  );
}

/**
 * @param where what errors call the file.
 * @throws {FormatError} the file is no such file, is damaged, or of something else than the key says.
 */
export async function decodeFeatures(bytes: Uint8Array, key: string, where: string): Promise<Features> {
  const { tensors, metadata } = readSafetensors(bytes, where);
  const stored = tensors.get("features");
  const indices = tensors.get("samples");
  const isOurs = metadata.get("format") === format && stored?.shape.length === 2 && indices?.format === "I32";
  if (!isOurs || stored.shape[0] !== indices.shape[0] || indices.shape.length !== 1) {
    throw new FormatError({ where, what: "this is another kind of file", expected: format });
  }
  if (metadata.get("key") !== key) {
    throw new FormatError({
      where,
      what: "these are features of something else",
      received: metadata.get("key"),
      expected: key,
    });
  }
  const { shape, data } = decodeFloats(stored);
  // Copied, since in the file they may lie anywhere.
  const samples = new Int32Array(indices.bytes.slice().buffer);
  const checksum = await checksumOf(data, samples);
  if (metadata.get("sha256") !== checksum) {
    throw new FormatError({
      where,
      what: "the file is damaged: its checksum is wrong",
      received: metadata.get("sha256"),
      expected: checksum,
    });
  }
  return { values: floatTensor(shape, data), samples: Uint32Array.from(samples) };
}

async function checksumOf(...arrays: readonly (Float32Array | Int32Array)[]): Promise<string> {
  return sha256((await Promise.all(arrays.map(sha256))).join());
}
