import type { Tensors } from "../base/platform.ts";
import type { DataType, Tensor } from "../tensor/tensor.ts";

/** The common interface of tensors in ONNX Runtime's native and WebAssembly bindings. */
interface EngineTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}

/** Wraps our tensors as a binding's, without copying. */
export function toEngineTensors<T extends EngineTensor>(
  tensors: Tensors,
  EngineTensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => T,
): Record<string, T> {
  return mapValues(
    tensors,
    ({ type, data, shape }) => new EngineTensor(type as "float32", data as Float32Array, shape),
  );
}

/** Wraps a binding's tensors as ours, without copying. */
export function fromEngineTensors(tensors: Readonly<Record<string, EngineTensor>>): Tensors {
  return mapValues(
    tensors,
    ({ type, data, dims }) => ({ type: type as DataType, shape: dims, data: data as Float32Array }) as Tensor,
  );
}

/** Changes each value of a record. */
export function mapValues<A, B>(
  record: Readonly<Record<string, A>>,
  change: (value: A, key: string) => B,
): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
}
