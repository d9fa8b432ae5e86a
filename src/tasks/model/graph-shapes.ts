import { decodeWhole } from "../../compiler/onnx/external-data.ts";
import type { OnnxContent } from "../../compiler/onnx/reader.ts";
import { ModelProto } from "../../compiler/onnx/schema.ts";
import type { Engine } from "../../platform.ts";
import type { Shape } from "../../tensor/shape.ts";

/** Axes of a result; a text stands for any size, and is its name. */
export type OpenShape = readonly (number | string)[];

/**
 * The shapes of all that a graph of another tool computes: the engine loads it with every result as an output, and tells them
 * without a run. Undefined where it cannot load it.
 * @param graph its bytes.
 * @param inputShape of images `[H, W, C]`, where the graph leaves it open.
 */
export async function graphShapes(
  graph: Uint8Array,
  content: OnnxContent,
  engine: Engine,
  inputShape?: Shape,
): Promise<ReadonlyMap<string, OpenShape> | undefined> {
  try {
    const session = await engine.createSession(withAllOutputs(graph, content, inputShape), { optimize: false });
    const { outputShapes } = session;
    await session.dispose();
    return outputShapes;
  } catch {
    // What it is made of can be told nevertheless.
    return undefined;
  }
}

function withAllOutputs(graph: Uint8Array, content: OnnxContent, inputShape: Shape | undefined): Uint8Array {
  const { nodes, outputs, tensors, shapes } = content;
  const known = new Set([...outputs, ...tensors.keys(), ""]);
  const names = nodes.flatMap((node) => (node.operator === "Constant" ? [] : node.outputs));
  const file = decodeWhole(graph);
  file.graph.output.push(...names.filter((name) => !known.has(name)).map((name) => ({ name })));
  for (const { name, type } of file.graph.input) {
    const sizes = inputShape && oneImage(shapes.get(name) ?? [], inputShape);
    if (sizes && !tensors.has(name)) type.tensor_type.shape.dim = sizes.map((size) => ({ dim_value: size }));
  }
  return ModelProto.encode(file).finish();
}

/** What stands open in the shape of an input filled in: one image, of the given size. */
function oneImage(axes: OpenShape, [height, width, channels]: Shape): Shape | undefined {
  const isChannelsFirst = axes[1] === channels;
  const given = isChannelsFirst ? [1, channels, height, width] : [1, height, width, channels];
  const shape = axes.map((axis, index) => (typeof axis === "number" ? axis : given[index]));
  return shape.every((size) => size !== undefined) ? shape : undefined;
}
