import { encodeMessage } from "../../base/protobuf.ts";
import { halfSuffix, OnnxEmitter } from "./emitter.ts";
import { decodeWhole } from "./external-data.ts";
import { withoutImageResize } from "./images.ts";
import { elementTypeNumbers, modelProto } from "./schema.ts";

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
  const { graph: expected } = decodeWhole(written);
  const fed = expected.input.map(({ name }: { readonly name: string }) => name);
  const weights = new Set(fed.filter((name) => name !== images));
  const fullName = (name: string) => (name.endsWith(halfSuffix) ? name.slice(0, -halfSuffix.length) : name);
  const isWeight = ({ name }: { readonly name: string }) => weights.has(fullName(name));
  const isCast = ({ input: [from = ""] }: Node) => from.endsWith(halfSuffix) && isWeight({ name: from });
  const own = given.initializer.filter(isWeight);
  const others = [given.node.filter((node) => !isCast(node)), given.initializer.filter((tensor) => !isWeight(tensor))];
  if (new Set(own.map(({ name }) => fullName(name))).size !== own.length || own.length !== weights.size) return;
  if (JSON.stringify(others) !== JSON.stringify([expected.node, expected.initializer])) return;

  const file = decodeWhole(withoutImageResize(written, images, size));
  const halves = own.filter(({ name }) => name.endsWith(halfSuffix));
  const emit = new OnnxEmitter();
  for (const { name } of halves) emit.node("Cast", [name], [fullName(name)], { to: { i: elementTypeNumbers.float32 } });
  const graph = {
    ...file.graph,
    input: file.graph.input.filter(({ name }) => name === images),
    initializer: [...file.graph.initializer, ...own.map(stored)],
    node: [...emit.nodes, ...file.graph.node],
  };
  return encodeMessage(modelProto, { ...file, graph });
}

type Node = ReturnType<typeof decodeWhole>["graph"]["node"][number];

/** A tensor without references to other files, and without fields that this package does not know. */
function stored(tensor: object): object {
  const { name, dims, data_type, raw_data, float_data } = tensor as Readonly<Record<string, unknown>>;
  return { name, dims, data_type, raw_data, float_data };
}
