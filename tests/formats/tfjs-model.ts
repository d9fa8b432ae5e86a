import { FileError } from "../../src/base/errors.ts";
import { readTfjsModel, type TfjsModel } from "../../src/formats/tfjs/file.ts";

/** Files of a model by name; `model.json` as a value. */
export interface TfjsFiles {
  readonly model: unknown;
  readonly shards: Readonly<Record<string, Uint8Array>>;
}

export function bytesOf(...numbers: (readonly number[] | Uint8Array | Uint16Array | Float32Array)[]): Uint8Array {
  const parts = numbers.map((each) => (Array.isArray(each) ? Float32Array.from(each) : (each as Uint8Array)));
  return Uint8Array.from(parts.flatMap((each) => [...new Uint8Array(each.buffer, each.byteOffset, each.byteLength)]));
}

export function readModel({ model, shards }: TfjsFiles): Promise<TfjsModel> {
  const json = model instanceof Uint8Array ? model : new TextEncoder().encode(JSON.stringify(model));
  return readTfjsModel(json, readerOf(shards), 'file "model.json"');
}

export function readerOf(shards: TfjsFiles["shards"]): (name: string) => Promise<Uint8Array> {
  return async (name) => {
    const bytes = Object.hasOwn(shards, name) ? shards[name] : undefined;
    if (bytes) return bytes;
    throw new FileError({ where: `file "${name}"`, what: "there is no such file" });
  };
}

/** What was read, as plain lists: name of a weight → its numbers, or the files that are not there. */
export function plain({ layers }: TfjsModel) {
  return Object.fromEntries(
    layers.flatMap(({ weights }) =>
      weights.map(({ path, tensor, absent }) => [path, tensor ? [...tensor.data] : absent]),
    ),
  );
}
