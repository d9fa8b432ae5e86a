import { FileError, FormatError } from "../../base/errors.ts";
import { decodeMessage } from "../../base/protobuf.ts";
import { encodeMessage } from "../../base/protobuf-writer.ts";
import { WireReader } from "../../base/wire.ts";
import type { ExternalTensor, OnnxContent } from "./reader.ts";
import { modelProto } from "./schema.ts";

/** Tensors may share data, but a small file must not fill the memory. */
const largestExpansion = 4;

/**
 * Inlines external data, which newer PyTorch stores in files next to the ONNX file.
 * @param content its parsed content.
 * @param where its name in errors.
 * @throws {FormatError} the location of a tensor's data is missing or invalid.
 * @throws {FileError} one of the other files cannot be read.
 */
export async function withExternalData(
  bytes: Uint8Array,
  { external }: OnnxContent,
  where: string,
  readBeside: (name: string) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const tensor of external) {
    const location = tensor.place.get("location") ?? "";
    if (!files.has(location)) files.set(location, await readBeside(location).catch(namingGraph(where)));
  }
  const numbers = new Map(external.map((tensor) => [tensor.name, numbersOf(tensor, files, where)]));
  assertNotTooMany(numbers, files, where);
  const file = decodeWhole(bytes);
  for (const tensor of file.graph.initializer) {
    const own = numbers.get(tensor.name);
    if (own === undefined) continue;
    tensor.raw_data = own;
    tensor.external_data = [];
    tensor.data_location = 0;
  }
  return encodeMessage(modelProto, file);
}

/** Adds the graph that needs it to the error of a file. */
function namingGraph(where: string) {
  return (error: unknown): never => {
    if (!(error instanceof FileError)) throw error;
    const what = `its weights are in another file, which cannot be read (${error.parts.where}: ${error.parts.what})`;
    throw new FileError({ where, what, remedy: "Copy both files into one folder.", cause: error });
  };
}

function numbersOf({ name, place }: ExternalTensor, files: ReadonlyMap<string, Uint8Array>, where: string): Uint8Array {
  const file = files.get(place.get("location") ?? "")!;
  const offset = Number(place.get("offset") ?? 0);
  const length = Number(place.get("length") ?? file.length - offset);
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (isCount(offset) && isCount(length) && offset + length <= file.length)
    return file.subarray(offset, offset + length);
  throw new FormatError({
    where: `${where}, tensor "${name}", field external_data`,
    what: "its numbers are not where they should be",
    received: `offset ${place.get("offset") ?? 0}, length ${place.get("length") ?? "to the end"}`,
    expected: `a part of the ${file.length} bytes of "${place.get("location")}"`,
    remedy: "Is that file cut short, or another model's? Copy both again.",
  });
}

function assertNotTooMany(
  numbers: ReadonlyMap<string, Uint8Array>,
  files: ReadonlyMap<string, Uint8Array>,
  where: string,
): void {
  const sum = (all: Iterable<Uint8Array>) => [...all].reduce((total, each) => total + each.length, 0);
  const [wanted, stored] = [sum(numbers.values()), sum(files.values())];
  if (wanted <= largestExpansion * stored) return;
  throw new FormatError({
    where: `${where}, field external_data`,
    what: "its tensors share more data than weights do",
    received: `${wanted} bytes of tensors in ${stored} bytes of files`,
    expected: `at most ${largestExpansion} times as much`,
  });
}

/** A file decoded for editing. */
export interface OpenOnnx {
  readonly graph: {
    node: { input: string[]; readonly output: readonly string[] }[];
    initializer: {
      readonly name: string;
      raw_data: Uint8Array;
      external_data: readonly object[];
      data_location: number;
    }[];
    readonly input: readonly { readonly name: string; readonly type: { tensor_type: { shape: { dim: object[] } } } }[];
    readonly output: object[];
  };
}

/** Decodes a file completely: fields outside the schema are preserved when it is encoded again. */
export function decodeWhole(bytes: Uint8Array): OpenOnnx {
  return decodeMessage(modelProto, new WireReader(bytes), { whole: true }) as OpenOnnx;
}
