import type { MessageFields } from "../../base/protobuf.ts";

/** Suffix of the name of a tensor stored as float16, which is cast to the name without it. */
export const halfSuffix = "~float16";

const operatorSet: MessageFields = { domain: [1, "string"], version: [2, "int64"] };
const entry: MessageFields = { key: [1, "string"], value: [2, "string"] };
const tensor: MessageFields = {
  dims: [1, "int64", "repeated"],
  data_type: [2, "int32"],
  float_data: [4, "float", "repeated"],
  name: [8, "string"],
  raw_data: [9, "bytes"],
  external_data: [13, entry, "repeated"],
  data_location: [14, "int32"],
};
const attribute: MessageFields = {
  name: [1, "string"],
  f: [2, "float"],
  i: [3, "int64"],
  s: [4, "bytes"],
  t: [5, tensor],
  floats: [7, "float", "repeated"],
  ints: [8, "int64", "repeated"],
  type: [20, "int32"],
};
const node: MessageFields = {
  input: [1, "string", "repeated"],
  output: [2, "string", "repeated"],
  name: [3, "string"],
  op_type: [4, "string"],
  attribute: [5, attribute, "repeated"],
  domain: [7, "string"],
};
const dimension: MessageFields = { dim_value: [1, "int64"], dim_param: [2, "string"] };
const valueInfo: MessageFields = {
  name: [1, "string"],
  type: [2, { tensor_type: [1, { elem_type: [1, "int32"], shape: [2, { dim: [1, dimension, "repeated"] }] }] }],
};
const graph: MessageFields = {
  node: [1, node, "repeated"],
  name: [2, "string"],
  initializer: [5, tensor, "repeated"],
  input: [11, valueInfo, "repeated"],
  output: [12, valueInfo, "repeated"],
};

/**
 * A whole `.onnx` file, as far as this package reads and writes it; field numbers from onnx/onnx.proto3 (ONNX IR version 10),
 * message `ModelProto`.
 */
export const modelProto: MessageFields = {
  ir_version: [1, "int64"],
  producer_name: [2, "string"],
  producer_version: [3, "string"],
  doc_string: [6, "string"],
  graph: [7, graph],
  opset_import: [8, operatorSet, "repeated"],
  metadata_props: [14, entry, "repeated"],
};

/** ONNX's numbers for element types (TensorProto.DataType). */
export const elementTypeNumbers = {
  ...{ float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9 },
  ...{ float16: 10, float64: 11 },
} as const;

/** ONNX's numbers for kinds of attributes (AttributeProto.AttributeType). */
export const attributeTypeNumbers = { f: 1, i: 2, s: 3, floats: 6, ints: 7 } as const;
