import type { Tensors } from "../base/platform.ts";
import { allFinite, type FloatTensor, floatTensor, selectRows } from "../tensor/tensor.ts";

/** Outputs of a network by name, each `[N, …]`. */
type Outputs = Readonly<Record<string, FloatTensor>>;

/** Returns whether the outputs for one image are all finite. */
export function isFiniteRow(outputs: Tensors, row: number): boolean {
  return Object.values(outputs as Outputs).every(({ shape, data }) => {
    const size = data.length / shape[0]!;
    return allFinite(data, row * size, (row + 1) * size);
  });
}

/** Copies the outputs for some images: `[N, …]` → `[rows, …]`. */
export function rowsOf(outputs: Tensors, rows: readonly number[]): Tensors {
  return mapOutputs(outputs, (output) => selectRows(output, rows));
}

/** Joins the outputs for single images, `[1, …]` each → `[N, …]`. */
export function stacked(single: readonly Tensors[]): Tensors {
  return mapOutputs(single[0]!, ({ shape, data: { length } }, name) => {
    const all = floatTensor([single.length, ...shape.slice(1)]);
    for (const [row, { [name]: one }] of (single as readonly Outputs[]).entries())
      all.data.set(one!.data, row * length);
    return all;
  });
}

function mapOutputs(outputs: Tensors, map: (output: FloatTensor, name: string) => FloatTensor): Tensors {
  return Object.fromEntries(Object.entries(outputs as Outputs).map(([name, output]) => [name, map(output, name)]));
}
