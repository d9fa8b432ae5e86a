import { mulberry32 } from "../../src/tensor/random.ts";
import { type Shape, sizeOf } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

/** Images of random bytes, `[count, H, W, C]`. */
export function noise(count: number, shape: Shape, seed = 1): Tensor<"uint8"> {
  const random = mulberry32(seed);
  const whole = [count, ...shape];
  const data = Uint8Array.from({ length: sizeOf(whole) }, () => Math.floor(random() * 256));
  return { type: "uint8", shape: whole, data };
}
