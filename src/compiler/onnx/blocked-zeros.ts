import type { Operation, Value } from "../../graph/ops.ts";
import type { BlockedTools } from "./blocked-tools.ts";

type Shape4 = readonly [number, number, number, number];

/**
 * Pixels of the small image at even rows and columns of the large one, zeros elsewhere. First the large one is of even
 * size; what is too much goes where it is added to another value, or in a pass of its own.
 */
export function emitInsertZeros(tools: BlockedTools, name: string, small: Value, large: Value): void {
  const { emit, forms, block, isPublished, readers, uncropped } = tools;
  const [batch, , rows, columns] = small.shape as Shape4;
  const [, channels, largeRows, largeColumns] = large.shape as Shape4;
  const lanes = forms.lanes(channels);
  const planes = (batch * lanes) / block;
  const view = emit.reshape(name, [planes, rows, 1, columns, block]);
  const amounts = emit.integers([0, 0, 0, 0, 0, 0, 0, 1, 0, block]);
  const even = emit.compute(`${large.name}/spread`, "Pad", [view, amounts]);
  const [reader, ...others] = readers(large);
  const isSum = reader?.config.kind === "add" && reader.inputs.every(({ name }) => !uncropped.has(name));
  if (isSum && others.length === 0 && !isPublished(large)) {
    uncropped.set(large.name, even);
    return;
  }
  const pixels = emit.reshape(even, [planes, 2 * rows, 2 * columns, block]);
  const bounds = [
    [0, 0],
    [largeRows, largeColumns],
    [1, 2],
  ].map((each) => emit.integers(each));
  const cropped = emit.compute(`${large.name}/cropped`, "Slice", [pixels, ...bounds]);
  const shape = emit.integers([1, lanes, batch * largeRows, largeColumns]);
  emit.node("Reshape", [cropped, shape], [forms.define(large, "channelBlocks")]);
}

/** The sum of a value and of one that is not cropped yet, in one pass; false if neither is such a one. */
export function emitSumWithZeros(tools: BlockedTools, { inputs, outputs: [sum] }: Operation): boolean {
  const { emit, forms, block, conv, uncropped } = tools;
  const spread = inputs.find(({ name }) => uncropped.has(name));
  const other = inputs.find((value) => value !== spread);
  if (!spread || !other) return false;
  const [batch, channels, rows, columns] = spread.shape as Shape4;
  const lanes = forms.lanes(channels);
  const planes = batch * lanes;
  const margin = [rows % 2, columns % 2] as const;
  const even = emit.reshape(uncropped.get(spread.name)!, [1, planes, rows + margin[0], columns + margin[1]]);
  // A kernel that is as much larger than one pixel as the image is too large, and sees its first pixel only.
  const size = (1 + margin[0]) * (1 + margin[1]);
  const first = Float32Array.from({ length: planes * size }, (_, index) => Number(index % (size * block) < block));
  const kernel = emit.unusedName("first");
  emit.floats(kernel, [planes, 1, 1 + margin[0], 1 + margin[1]], first);
  const source = emit.reshape(forms.get(other, "channelBlocks"), [1, planes, rows, columns]);
  const result = emit.unusedName(`${sum!.name}/planes`);
  conv([even, kernel, "", source], result, { group: { i: planes } });
  const shape = emit.integers([1, lanes, batch * rows, columns]);
  emit.node("Reshape", [result, shape], [forms.define(sum!, "channelBlocks")]);
  return true;
}
