import { foldBatchNorm } from "../../src/compiler/fold-batch-norm.ts";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import * as layers from "../../src/graph/builder.ts";
import { type Layer, type Network, network } from "../../src/graph/network.ts";
import { toEngineWeights, type Weights } from "../../src/graph/weights.ts";
import { architectureNamed, optionsOf } from "../../src/models/registry.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { type FloatTensor, floatTensor, transpose } from "../../src/tensor/tensor.ts";
import { bytesOf, type TfjsFiles } from "../formats/tfjs-model.ts";
import { ModelProto } from "../oracles/onnx-proto.ts";

/** The network of `tests/golden/torch-onnx.py`. */
export function torchNet(classes = 5): Network {
  let x = layers.conv2d(layers.input([21, 19, 3]), { filters: 8, kernelSize: 3, strides: 2, useBias: false });
  x = layers.relu(layers.batchNormalization(x));
  x = layers.separableConv2d(x, { filters: 16, kernelSize: 3, padding: "same", useBias: false });
  x = layers.relu(layers.batchNormalization(x));
  return network("net", layers.dense(layers.globalAveragePooling2d(x), { units: classes, name: "logits" }));
}

/** The network of `tests/golden/torch-xception.py`. */
export function torchXception(): Network {
  const options = { inputShape: [71, 80, 3], classes: 3, width: 0.02, middleFlowRepeats: 1 } as const;
  return xception({ ...options, ...optionsOf(architectureNamed("legacy_xception")), classifierActivation: "none" });
}

interface StoredTensor {
  name: string;
  dims: readonly number[];
  raw_data: Uint8Array;
}

interface GraphNode {
  readonly op_type: string;
  readonly input: string[];
  readonly output: string[];
  readonly attribute?: readonly object[];
}

interface Graph {
  readonly graph: { readonly initializer: StoredTensor[]; node: GraphNode[] };
}

/** An ONNX file of the network without a batch normalization, whose weights are called as PyTorch calls folded ones. */
export function foldedOnnx(of: Network, weights: Weights): Uint8Array {
  const { graph } = lower(of, { mode: "inference", batchSize: 1 });
  const folded = foldBatchNorm(graph, toEngineWeights(of, weights));
  const file = ModelProto.toObject(ModelProto.decode(toOnnx(folded.graph, { weights: folded.weights }))) as Graph;
  const names = new Map(file.graph.initializer.map(({ name }, index) => [name, `onnx::Conv_${512 + 3 * index}`]));
  for (const tensor of file.graph.initializer) tensor.name = names.get(tensor.name)!;
  for (const { input } of file.graph.node)
    input.splice(0, input.length, ...input.map((name) => names.get(name) ?? name));
  return ModelProto.encode(ModelProto.fromObject(file)).finish();
}

/**
 * The same ONNX file with what tf2onnx leaves in where it does not optimize: kernels in TensorFlow's layout, which the graph
 * transposes, the first one as a `Constant`; biases added to results in TensorFlow's layout, between two transpositions.
 */
export function withTranspositions(bytes: Uint8Array): Uint8Array {
  const file = ModelProto.toObject(ModelProto.decode(bytes), { longs: Number }) as Graph;
  const { graph } = file;
  const transposition = (input: string, output: string, ...ints: number[]): GraphNode => {
    return { op_type: "Transpose", input: [input], output: [output], attribute: [{ name: "perm", ints, type: 7 }] };
  };
  graph.node = graph.node.flatMap((node, index): GraphNode[] => {
    if (node.op_type !== "Conv") return [node];
    const [x = "", kernel = "", bias] = node.input;
    const [y = ""] = node.output;
    const stored = graph.initializer.find(({ name }) => name === kernel)!;
    const data = new Float32Array(new Uint8Array(stored.raw_data).buffer);
    const turned = transpose(floatTensor(stored.dims, data), [2, 3, 1, 0]);
    const own: StoredTensor = {
      ...stored,
      name: `${kernel}:0`,
      dims: turned.shape,
      raw_data: new Uint8Array(turned.data.buffer),
    };
    graph.initializer.splice(graph.initializer.indexOf(stored), 1);
    const constant = {
      op_type: "Constant",
      input: [],
      output: [own.name],
      attribute: [{ name: "value", t: own, type: 4 }],
    };
    if (index > 1) graph.initializer.push(own);
    const before = [...(index > 1 ? [] : [constant]), transposition(own.name, kernel, 3, 2, 0, 1)];
    if (bias === undefined) return [...before, node];
    return [
      ...before,
      { ...node, input: [x, kernel], output: [`${y}:nchw`] },
      transposition(`${y}:nchw`, `${y}:nhwc`, 0, 2, 3, 1),
      { op_type: "Add", input: [`${y}:nhwc`, bias], output: [`${y}:sum`] },
      transposition(`${y}:sum`, y, 0, 3, 1, 2),
    ];
  });
  return ModelProto.encode(ModelProto.fromObject(file)).finish();
}

interface Node {
  readonly name: string;
  readonly op: string;
  readonly input: readonly string[];
  readonly attr?: object;
}

/**
 * The network as TensorFlow.js's converter writes it: batch normalizations multiplied into the convolutions before them,
 * these joined with offset and activation where that follows, other normalizations as `Mul` and `AddV2`.
 */
export function foldedGraphModel(of: Network, weights: Weights): TfjsFiles {
  const nodes: Node[] = [];
  const stored: { readonly name: string; readonly shape: readonly number[]; readonly data: Float32Array }[] = [];
  const results = new Map<string, string>();
  const store = (name: string, shape: readonly number[], data: Float32Array): string => {
    stored.push({ name, shape, data });
    nodes.push({ name, op: "Const", input: [], attr: { dtype: { type: "DT_FLOAT" } } });
    return name;
  };
  const tensor = (layer: Layer, role: string): FloatTensor | undefined => {
    const spec = layer.weights.find((each) => each.role === role);
    return spec && weights.get(spec.name);
  };
  const numbers = { dtype: { type: "DT_FLOAT" }, data_format: { s: base64("NHWC") } };
  for (const layer of of.layers) {
    const { name, config, inbound } = layer;
    const inputs = inbound.map((each) => results.get(each)!);
    const path = `StatefulPartitionedCall/${of.name}/${name}`;
    const readers = of.layers.filter((each) => each.inbound.includes(name));
    const [next] = readers;
    const normalization = readers.length === 1 && next?.config.type === "BatchNormalization" ? next : undefined;
    const done = (node: Node): void => {
      nodes.push(node);
      results.set(name, node.name);
    };
    const attr = "strides" in config ? windowOf(config) : numbers;
    const convolution = (op: string, kernel: FloatTensor, input: string, attributes: object): void => {
      const { scale, offset } = affine(normalization, weights);
      const scaled = kernel.data.map((value, index) => value * (scale?.[index % scale.length] ?? 1));
      const own = store(`${path}/${op}_weights`, kernel.shape, scaled);
      const bias = tensor(layer, "bias");
      const vector = offset
        ? Float32Array.from(offset, (value, index) => value + (bias?.data[index] ?? 0) * scale![index]!)
        : bias?.data;
      const plain = { name: `${path}/${op}`, op, input: [input, own], attr: attributes };
      if (vector === undefined) {
        done(plain);
        return;
      }
      const added = store(`${path}/${op}_bn_offset`, [vector.length], vector);
      const fused = { fused_ops: { list: { s: [base64("BiasAdd")] } }, num_args: { i: "1" }, epsilon: { f: 0 } };
      if (op === "Conv2D") {
        done({
          name: `${path}/BiasAdd`,
          op: "_FusedConv2D",
          input: [input, own, added],
          attr: { ...attributes, ...fused },
        });
        return;
      }
      done(plain);
      done({ name: `${path}/BiasAdd`, op: "BiasAdd", input: [`${path}/${op}:0`, added], attr: numbers });
    };
    switch (config.type) {
      case "InputLayer":
        done({ name: "images", op: "Placeholder", input: [], attr: { dtype: { type: "DT_FLOAT" } } });
        break;
      case "Conv2D":
        convolution("Conv2D", tensor(layer, "kernel")!, inputs[0]!, attr);
        break;
      case "DepthwiseConv2D":
        convolution("DepthwiseConv2dNative", tensor(layer, "depthwiseKernel")!, inputs[0]!, attr);
        break;
      case "SeparableConv2D": {
        const kernel = tensor(layer, "depthwiseKernel")!;
        const own = store(`${path}/separable_conv2d/ReadVariableOp`, kernel.shape, kernel.data);
        const depthwise = `${path}/separable_conv2d/depthwise`;
        nodes.push({ name: depthwise, op: "DepthwiseConv2dNative", input: [inputs[0]!, own], attr });
        const plain = windowOf({ strides: [1, 1], padding: "valid" });
        convolution("Conv2D", tensor(layer, "pointwiseKernel")!, depthwise, plain);
        break;
      }
      case "BatchNormalization": {
        const before = of.layers.find((each) => each.name === inbound[0])!;
        const isFolded = /Conv2D$/.test(before.config.type);
        if (isFolded) {
          results.set(name, inputs[0]!);
          break;
        }
        const { scale, offset } = affine(layer, weights);
        const factor = store(`${path}/scale`, [scale!.length], Float32Array.from(scale!));
        const summand = store(`${path}/offset`, [offset!.length], Float32Array.from(offset!));
        done({ name: `${path}/Mul`, op: "Mul", input: [inputs[0]!, factor], attr: numbers });
        done({ name: `${path}/AddV2`, op: "AddV2", input: [summand, `${path}/Mul`], attr: numbers });
        break;
      }
      case "MaxPooling2D": {
        const [height, width] = config.poolSize;
        done({ name: path, op: "MaxPool", input: inputs, attr: { ...attr, ksize: list(1, height, width, 1) } });
        break;
      }
      case "GlobalAveragePooling2D":
        nodes.push({ name: `${path}/axes`, op: "Const", input: [], attr: { dtype: { type: "DT_INT32" } } });
        done({ name: path, op: "Mean", input: [inputs[0]!, `${path}/axes`], attr: { keep_dims: { b: false } } });
        break;
      case "Dense":
        convolution("MatMul", tensor(layer, "denseKernel")!, inputs[0]!, {});
        break;
      case "Add":
        done({ name: path, op: "AddV2", input: inputs, attr: numbers });
        break;
      default:
        done({ name: path, op: "Relu", input: inputs, attr: numbers });
    }
  }
  const axes = nodes.filter(({ name }) => name.endsWith("/axes"));
  const integers = axes.map(({ name }) => ({ name, shape: [2], dtype: "int32" }));
  const floats = stored.map(({ name, shape }) => ({ name, shape: [...shape], dtype: "float32" }));
  const bytes = [...axes.map(() => new Uint8Array(Int32Array.of(1, 2).buffer)), ...stored.map(({ data }) => data)];
  return {
    model: {
      format: "graph-model",
      modelTopology: { node: nodes, versions: { producer: 1087 } },
      weightsManifest: [{ paths: ["group1-shard1of1.bin"], weights: [...integers, ...floats] }],
    },
    shards: { "group1-shard1of1.bin": bytesOf(...bytes) },
  };
}

/** What a normalization does, as one factor and one summand for each channel. */
function affine(layer: Layer | undefined, weights: Weights): { scale?: number[]; offset?: number[] } {
  if (layer?.config.type !== "BatchNormalization") return {};
  const { epsilon } = layer.config;
  const [gamma, beta, mean, variance] = layer.weights.map(({ name }) => [...weights.get(name)!.data]);
  const scale = gamma!.map((value, index) => value / Math.sqrt(variance![index]! + epsilon));
  return { scale, offset: beta!.map((value, index) => value - mean![index]! * scale[index]!) };
}

function windowOf({ strides, padding }: { readonly strides: readonly number[]; readonly padding: unknown }): object {
  return {
    strides: list(1, ...strides, 1),
    dilations: list(1, 1, 1, 1),
    padding: { s: base64(String(padding).toUpperCase()) },
    data_format: { s: base64("NHWC") },
  };
}

function list(...numbers: number[]): object {
  return { list: { i: numbers.map(String) } };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
