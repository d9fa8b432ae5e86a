import type { SessionOptions } from "../base/platform.ts";
import { compileGraph } from "../compiler/compile.ts";
import { imageInput, lower } from "../compiler/lower.ts";
import { withoutImageResize } from "../compiler/onnx/images.ts";
import { type ExpectedGraph, ownGraph } from "../compiler/onnx/own-graph.ts";
import { imageSizeOf } from "../graph/network.ts";
import { type Model, resizesInGraph } from "./model.ts";
import { isolationOf, networkIsolation } from "./network-isolation.ts";

/**
 * The graph in a model file for images of the network's size, and the settings of its session, with limits: those of a graph of
 * unknown origin, unless it is the one that this package writes.
 * @param bytes of the file.
 */
export function storedGraph(
  bytes: Uint8Array,
  described: Omit<Model, "weights">,
  where: string,
  session: SessionOptions,
) {
  const { network, quantization } = described;
  const size = imageSizeOf(network);
  // Without optimization, integers would be multiplied as floats.
  const isHasty = session.once && session.device === "cpu" && quantization === undefined;
  const options = isHasty ? { ...session, optimize: false } : session;
  const own = ownGraph(bytes, expectedGraph(described));
  if (own) return { graph: own, settings: { ...options, isolation: networkIsolation(network, own, where) } };
  const graph = withoutImageResize(bytes, imageInput, size);
  return { graph, settings: { ...options, isolation: isolationOf(graph, where, size) } };
}

/** The graph of a model file, see {@link encodeModel}. */
function expectedGraph({ network: own, preprocessing, quantization }: Omit<Model, "weights">): ExpectedGraph {
  const { graph } = lower(own, { mode: "inference", batchSize: 1, preprocessing });
  const resize = resizesInGraph(preprocessing) ? preprocessing : undefined;
  const form = quantization ? "int8" : "exact";
  const options = { form, quantization, name: own.name, dynamicBatch: true, resize } as const;
  return { written: compileGraph(graph, new Map(), options), images: imageInput, size: imageSizeOf(own) };
}
