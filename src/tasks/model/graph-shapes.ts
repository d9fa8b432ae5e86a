import type { OnnxContent } from "../../compiler/onnx/reader.ts";
import { ModelProto } from "../../compiler/onnx/schema.ts";
import type { Platform } from "../../platform.ts";
import { type Shape, sizeOf } from "../../tensor/shape.ts";
import { floatTensor } from "../../tensor/tensor.ts";

/** Pictures of more numbers than this are not made only to look at shapes. */
const largestInput = 2 ** 26;

/**
 * The shapes of all that a graph of another tool computes, for one picture: the engine runs it with every result as an
 * output. Undefined where it cannot, or sizes are open that `inputShape` does not tell.
 * @param graph its bytes.
 * @param inputShape of pictures `[H, W, C]`.
 */
export async function graphShapes(
  graph: Uint8Array,
  content: OnnxContent,
  { createSession }: Pick<Platform, "createSession">,
  inputShape?: Shape,
): Promise<ReadonlyMap<string, Shape> | undefined> {
  const feeds = zerosFor(content, inputShape);
  if (feeds === undefined) return undefined;
  try {
    const session = await createSession(withAllOutputs(graph, content), { optimize: false });
    const results = await session.run(feeds).finally(() => session.dispose());
    return new Map(Object.entries(results).map(([name, { shape }]) => [name, shape]));
  } catch {
    // A graph that does not run, or results that have no shape, like lists: its operators can be told nevertheless.
    return undefined;
  }
}

/** Messages of protobuf in a row are one: the later one's lists are added to the earlier one's. */
function withAllOutputs(graph: Uint8Array, { nodes, outputs, tensors }: OnnxContent): Uint8Array {
  const known = new Set([...outputs, ...tensors.keys(), ""]);
  const names = nodes.flatMap((node) => (node.operator === "Constant" ? [] : node.outputs));
  const output = names.filter((name) => !known.has(name)).map((name) => ({ name }));
  const more = ModelProto.encode(ModelProto.fromObject({ graph: { output } })).finish();
  const whole = new Uint8Array(graph.length + more.length);
  whole.set(graph);
  whole.set(more, graph.length);
  return whole;
}

function zerosFor({ inputs, tensors, shapes }: OnnxContent, inputShape: Shape | undefined) {
  const feeds = inputs
    .filter((name) => !tensors.has(name))
    .map((name) => [name, onePicture(shapes.get(name) ?? [], inputShape)] as const);
  if (feeds.some(([, shape]) => shape === undefined || sizeOf(shape) > largestInput)) return undefined;
  return Object.fromEntries(feeds.map(([name, shape]) => [name, floatTensor(shape!)]));
}

/** What stands open in the shape of an input filled in: one picture, of the given size. */
function onePicture(axes: readonly (number | string)[], inputShape: Shape = []): Shape | undefined {
  const [height, width, channels] = inputShape;
  const isChannelsFirst = axes[1] === (channels ?? 3);
  const given = isChannelsFirst ? [1, channels, height, width] : [1, height, width, channels];
  const shape = axes.map((axis, index) => (typeof axis === "number" ? axis : given[index]));
  return shape.every((size): size is number => size !== undefined && size >= 0) ? shape : undefined;
}
