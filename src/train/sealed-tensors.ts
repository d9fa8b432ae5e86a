import { sha256 } from "../base/checksums.ts";
import { FormatError } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { readSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Keys of the strings in the header. */
const keys = { format: "format", document: "checkpoint", checksum: "sha256" } as const;
/** Stands for the checksum while it is computed. */
const blank = "0".repeat(64);

/** Encodes tensors and a JSON document as a `.safetensors` file with a checksum of the whole. */
export async function encodeSealed(
  format: string,
  document: object,
  tensors: ReadonlyMap<string, Tensor>,
): Promise<Uint8Array> {
  const metadata = new Map([
    [keys.format, format],
    [keys.document, JSON.stringify(document)],
    [keys.checksum, blank],
  ]);
  const bytes = writeSafetensors(tensors, metadata);
  bytes.set(new TextEncoder().encode(await sha256(bytes)), checksumOffset(bytes));
  return bytes;
}

/**
 * @param where the file's name in errors.
 * @throws {FormatError} the bytes are not such a file, or damaged.
 */
export async function decodeSealed(format: string, bytes: Uint8Array, where: string) {
  const { metadata, tensors } = readSafetensors(bytes, where);
  const received = metadata.get(keys.format);
  if (received !== format) {
    throw new FormatError({ where, what: "this is another kind of file", received, expected: `"${format}"` });
  }
  await assertIntact(bytes, metadata.get(keys.checksum), where);
  return { json: parseJson(metadata.get(keys.document) ?? "", where), tensors };
}

/** The checksum is that of the file with zeros in the checksum's place. */
async function assertIntact(bytes: Uint8Array, received: string | undefined, where: string): Promise<void> {
  const copy = bytes.slice();
  copy.set(new TextEncoder().encode(blank), checksumOffset(bytes));
  const expected = await sha256(copy);
  if (received === expected) return;
  throw new FormatError({ where, what: "the file is damaged: its checksum is wrong", received, expected });
}

/** Offset of the checksum's digits. Strings inside the header have their quotes escaped, so only the key matches. */
function checksumOffset(bytes: Uint8Array): number {
  const key = `"${keys.checksum}":"`;
  const headerEnd = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  // One character for each byte, whatever the text's encoding.
  const header = new TextDecoder("latin1").decode(bytes.subarray(0, headerEnd));
  return header.indexOf(key) + key.length;
}
