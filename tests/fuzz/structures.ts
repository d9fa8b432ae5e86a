import fc from "fast-check";
import { type Zippable, zipSync } from "fflate";
import h5wasm from "h5wasm";
import { ModelProto } from "../oracles/onnx-proto.ts";
import { damagedJson } from "./json-damage.ts";

/** Counts, sizes and offsets that are zero, beyond the file, beyond memory, negative, or somewhere else in the file. */
function lyingNumber(size: number): fc.Arbitrary<bigint> {
  const edges = [0n, 1n, 0x7fn, 0xffn, 0xffffn, 2n ** 27n + 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, -1n];
  return fc.oneof(fc.constantFrom(...edges), fc.bigInt({ min: 0n, max: BigInt(size) }), fc.constant(BigInt(size)));
}

/** The file with one to four of its little-endian integers changed, at places where its structures have some. */
export function lyingFields(good: Uint8Array, places: readonly number[]): fc.Arbitrary<Uint8Array> {
  const lie = fc.tuple(fc.constantFrom(...places), fc.constantFrom(1, 2, 4, 8), lyingNumber(good.length));
  return fc.array(lie, { minLength: 1, maxLength: 4 }).map((lies) => {
    const copy = good.slice();
    for (const [place, width, number] of lies) {
      for (let byte = 0; byte < width && place + byte < copy.length; byte++) {
        copy[place + byte] = Number(BigInt.asUintN(8, number >> BigInt(8 * byte)));
      }
    }
    return copy;
  });
}

/** Names that its structures begin with, in an HDF5 file. */
const signatures = ["TREE", "HEAP", "SNOD", "GCOL", "OHDR", "OCHK", "FRHP", "FHDB", "FHIB", "FSHD", "BTHD", "BTLF"];

/** The fields of an HDF5 file: of its superblock, and those behind each signature. */
export function hdf5Fields(good: Uint8Array): readonly number[] {
  const text = new TextDecoder("latin1").decode(good);
  const starts = signatures.flatMap((name) => [...text.matchAll(new RegExp(name, "g"))].map(({ index }) => index + 4));
  return [8, ...starts].flatMap((start) => Array.from({ length: 48 }, (_, index) => start + index));
}

/** The operands of a pickle's integers, and those of its memo. */
export function pickleFields(pickle: Uint8Array): readonly number[] {
  const opcodes = new Set([..."KMJIqrhjXU"].map((letter) => letter.charCodeAt(0)));
  return [...pickle.keys()].filter((place) => opcodes.has(pickle[place]!)).map((place) => place + 1);
}

/** Zip archives with entries of any name, several of one name among them, and of other places. */
export function plantedEntries(entries: Readonly<Record<string, Uint8Array>>): fc.Arbitrary<Uint8Array> {
  const names = ["../../etc/passwd", "/etc/passwd", "C:\\x", "config.json/", "a/data.pkl", "b/data.pkl", "\0"];
  const planted = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 4 });
  const level = fc.constantFrom(0 as const, 6 as const);
  return fc
    .tuple(planted, fc.uint8Array({ maxLength: 50 }), level, fc.boolean())
    .map(([list, content, method, first]) => {
      const more: Zippable = Object.fromEntries(list.map((name) => [name, content]));
      return zipSync(first ? { ...more, ...entries } : { ...entries, ...more }, { level: method });
    });
}

const targets = ["/", ".", "..", "/model_weights", "/layers", "/layers/dense", "/nothing", "dense/dense"];
const linkNames = ["layers", "model_weights", "vars", "dense", "layers/dense", "layers/conv2d/layers", "a/b/c"];

interface Link {
  readonly kind: "soft" | "hard" | "external";
  readonly target: string;
  readonly name: string;
}

const link: fc.Arbitrary<Link> = fc.record({
  kind: fc.constantFrom("soft" as const, "hard" as const, "external" as const),
  target: fc.constantFrom(...targets),
  name: fc.constantFrom(...linkNames),
});

/** Files whose groups also link to each other, to themselves, to nothing and to other files, and list any names. */
export async function linkedHdf5(good: Uint8Array): Promise<readonly Uint8Array[]> {
  const { FS, activate_throwing_error_handler: throwErrors } = await h5wasm.ready;
  throwErrors();
  const listed = fc.constantFrom("dense", "..", "/", "", "layers", "model_weights", "x".repeat(300));
  const lists = fc.option(fc.array(listed, { minLength: 1, maxLength: 4 }), { freq: 2 });
  const plans = fc.tuple(fc.array(link, { minLength: 1, maxLength: 5 }), lists);
  return fc.sample(plans, { seed: 1, numRuns: 150 }).map(([links, names]) => {
    FS.writeFile("linked.h5", good);
    const file = new h5wasm.File("linked.h5", "a");
    const changes = [
      ...links.map(({ kind, target, name }) => () => {
        if (kind === "soft") file.create_soft_link(target, name);
        else if (kind === "hard") file.create_hard_link(target, name);
        else file.create_external_link("/etc/passwd", target, name);
      }),
      () => names !== null && file.delete_attribute("layer_names"),
      () => names !== null && file.create_attribute("layer_names", names),
    ];
    for (const change of changes) {
      try {
        change();
      } catch {
        // The name is taken, or its parent is missing.
      }
    }
    file.close();
    return FS.readFile("linked.h5");
  });
}

/** An ONNX file whose fields hold anything: dimensions, types, names, places of external data. */
export function damagedOnnx(good: Uint8Array): fc.Arbitrary<Uint8Array> {
  const document = ModelProto.toObject(ModelProto.decode(good), { longs: Number, bytes: Array });
  return damagedJson(document).map((changed) => {
    try {
      return ModelProto.encode(ModelProto.fromObject(changed as object)).finish();
    } catch {
      // The schema has no such value.
      return good;
    }
  });
}

/** Headers of `.safetensors` that nest, repeat or list more than any model has. */
export const vastHeaders: fc.Arbitrary<string> = fc.oneof(
  fc.integer({ min: 150, max: 50_000 }).map((depth) => `{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`),
  fc
    .integer({ min: 1, max: 30_000 })
    .map((count) => `{${Array.from({ length: count }, (_, i) => `"${i}":{}`).join()}}`),
  fc.integer({ min: 1, max: 2000 }).map((count) => `{"__metadata__":{${Array(count).fill('"a":"b"').join()}}}`),
  fc.integer({ min: 1, max: 100_000 }).map((length) => `{"${"x".repeat(length)}":{"dtype":"F32"}}`),
);
