import type { Tensors } from "../base/platform.ts";
import type { DataType, Tensor } from "../tensor/tensor.ts";

/** What the tensors of ONNX Runtime's bindings, native and WebAssembly, have in common. */
interface EngineTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}

type EngineTensorClass<T extends EngineTensor> = new (
  type: "float32",
  data: Float32Array,
  dims: readonly number[],
) => T;

/** Our tensors as those of a binding, without copying. */
export function toEngineTensors<T extends EngineTensor>(
  tensors: Tensors,
  EngineTensor: EngineTensorClass<T>,
): Record<string, T> {
  return mapValues(
    tensors,
    ({ type, data, shape }) => new EngineTensor(type as "float32", data as Float32Array, shape),
  );
}

/** A binding's tensors as ours, without copying. */
export function fromEngineTensors(tensors: Readonly<Record<string, EngineTensor>>): Tensors {
  return mapValues(
    tensors,
    ({ type, data, dims }) => ({ type: type as DataType, shape: dims, data: data as Float32Array }) as Tensor,
  );
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
