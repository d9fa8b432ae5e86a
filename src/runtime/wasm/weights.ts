import type { Program } from "../../graph/program.ts";
import { fromHalf } from "../../tensor/half.ts";

/** Columns to a panel of a packed matrix. */
const panelWidth = 8;

/** Writes a program's weights into its memory as float32. */
export function expandWeights({ weights }: Program, data: Uint8Array, memory: ArrayBuffer): void {
  const { buffer, byteOffset } = data.byteOffset % 4 === 0 ? data : data.slice();
  for (const { address, count, type, start, panel } of weights) {
    const floats = new Float32Array(memory, address, count);
    if (type === "float32") floats.set(new Float32Array(buffer, byteOffset + start, count));
    else if (type === "float16") floats.set(fromHalf(new Uint16Array(buffer, byteOffset + start, count)));
    else {
      const scales = new Float32Array(buffer, byteOffset + start, 8 * (count / panel!));
      const rounded = new Int8Array(buffer, byteOffset + start + scales.byteLength, count);
      for (let index = 0; index < count; index++) {
        const column = Math.floor(index / panel!) * panelWidth + (index % panelWidth);
        floats[index] = rounded[index]! * scales[column]!;
      }
    }
  }
}
