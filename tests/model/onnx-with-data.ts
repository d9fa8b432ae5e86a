import { ModelProto } from "../oracles/onnx-proto.ts";

interface OnnxFile {
  readonly graph: {
    readonly initializer: { raw_data?: Uint8Array; external_data?: readonly object[]; data_location?: number }[];
  };
}

/**
 * An ONNX file as PyTorch 2.9 writes it: the numbers of its tensors in a file beside it, each from a multiple of 64 on.
 * @param change what the graph says of the place of a tensor.
 */
export function withNumbersBeside(bytes: Uint8Array, change: (place: Record<string, string>) => void = () => {}) {
  const file = ModelProto.toObject(ModelProto.decode(bytes), { longs: Number }) as OnnxFile;
  const data = new Uint8Array(file.graph.initializer.reduce((sum, each) => sum + padded(each.raw_data!.length), 0));
  let offset = 0;
  for (const tensor of file.graph.initializer) {
    const raw = tensor.raw_data!;
    const place: Record<string, string> = { location: "model.onnx.data", offset: `${offset}`, length: `${raw.length}` };
    change(place);
    delete tensor.raw_data;
    tensor.data_location = 1;
    tensor.external_data = Object.entries(place).map(([key, value]) => ({ key, value }));
    data.set(raw, offset);
    offset += padded(raw.length);
  }
  return { "model.onnx": ModelProto.encode(ModelProto.fromObject(file)).finish(), "model.onnx.data": data };
}

function padded(length: number): number {
  return Math.ceil(length / 64) * 64;
}
