import { encodeMessage } from "../../base/protobuf-writer.ts";
import { integerNames } from "../quantize/weights.ts";
import { OnnxEmitter } from "./emitter.ts";
import { decodeWhole } from "./external-data.ts";
import { removeImageResize } from "./images.ts";
import { readOnnx } from "./reader.ts";
import { halfSuffix, modelProto } from "./schema.ts";

/** The graph that a file of this package should have, and what of it comes from the file. */
export interface ExpectedGraph {
  /** The file as it is written, but with weights as inputs. */
  readonly written: Uint8Array;
  /** Name and size of the images. */
  readonly images: string;
  readonly size: readonly [height: number, width: number];
}

/**
 * Puts a file's weights into the expected graph, which takes images of the network's size; undefined if the file has another
 * graph. Nothing but weights comes from the file, so that it can hide nothing in parts that were not compared.
 */
export function ownGraph(bytes: Uint8Array, { written, images, size }: ExpectedGraph): Uint8Array | undefined {
  const { graph: given } = decodeWhole(bytes);
  const file = decodeWhole(written);
  const { graph: expected } = file;
  const fed = expected.input.map(({ name }: { readonly name: string }) => name);
  const weights = new Set(fed.filter((name) => name !== images));
  const storedNames = new Map(
    [...weights].flatMap((name) => {
      const { integers, scale } = integerNames(name, "int8");
      return [name, `${name}${halfSuffix}`, integers, scale].map((stored) => [stored, name] as const);
    }),
  );
  const isExpansion = ({ input: [from = ""], output: [to = ""] }: Node) => from !== to && storedNames.get(from) === to;
  const isWeight = ({ name }: { readonly name: string }) => storedNames.has(name);
  const others = [
    given.node.filter((node) => !isExpansion(node)),
    given.initializer.filter((tensor) => !isWeight(tensor)),
  ];
  if (JSON.stringify(others) !== JSON.stringify([expected.node, expected.initializer])) return;
  const own = given.initializer.filter(({ name }) => weights.has(name));
  // Each other weight is rounded, and expanded by one node.
  const expanded = given.node.filter(isExpansion).map(({ output: [name] }) => name!);
  const names = [...own.map(({ name }) => name), ...expanded];
  if (names.length !== weights.size || new Set(names).size !== weights.size) return;
  const { tensors } = readOnnx(bytes, "model");
  if (!expanded.every((name) => tensors.has(name))) return;

  removeImageResize(file, images, size);
  const emit = new OnnxEmitter();
  for (const name of expanded) emit.tensor(name, tensors.get(name)!.read());
  const graph = {
    ...expected,
    input: expected.input.filter(({ name }) => name === images),
    initializer: [...expected.initializer, ...own.map(stored), ...emit.initializers],
  };
  return encodeMessage(modelProto, { ...file, graph });
}

type Node = ReturnType<typeof decodeWhole>["graph"]["node"][number];

/** A tensor without references to other files, and without fields that this package does not know. */
function stored(tensor: object): object {
  const { name, dims, data_type, raw_data, float_data } = tensor as Readonly<Record<string, unknown>>;
  return { name, dims, data_type, raw_data, float_data };
}
