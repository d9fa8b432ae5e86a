import { Builder, type Offset } from "flatbuffers";
import type { ConfigOf, Padding } from "../../src/graph/layers.ts";
import type { Layer, Network } from "../../src/graph/network.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { sizeOf } from "../../src/tensor/shape.ts";

/** Numbers of the schema: operators, the tables of their options, and so on. */
const operators = { add: 0, conv: 3, depthwise: 4, dense: 9, maxPool: 17, relu: 19, softmax: 25, mean: 40 } as const;
const optionTables = { add: 11, conv: 1, depthwise: 2, dense: 8, maxPool: 5, relu: 0, softmax: 9, mean: 27 } as const;
const types = { float32: 0, int32: 2 } as const;

type OperatorName = keyof typeof operators;
/** Fields of a table in their order: `[kind, value]`. */
type Fields = readonly (readonly ["byte" | "int" | "float", number])[];

interface TfliteTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: keyof typeof types;
  readonly data?: Float32Array | Int32Array;
}

interface TfliteOperator {
  readonly operator: OperatorName;
  readonly inputs: readonly number[];
  readonly output: number;
  readonly options: Fields;
}

/**
 * Writes a network in inference mode as a `.tflite` file for one image, `[1, H, W, C]`, as TensorFlow's converter would: batch
 * normalization is folded into the convolution before it, and a ReLU after it is part of it. Knows the layers of Xception.
 * @see https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs
 */
export function writeTflite(network: Network, weights: Weights): Uint8Array {
  const tensors: TfliteTensor[] = [];
  const list: TfliteOperator[] = [];
  /** The tensor with each layer's output; layers that are part of another have its tensor. */
  const outputs = new Map<string, number>();
  const readers = new Map<string, Layer[]>();
  for (const layer of network.layers) {
    for (const source of layer.inbound) readers.set(source, [...(readers.get(source) ?? []), layer]);
  }
  const isRelu = ({ config }: Layer) => config.type === "Activation" && config.activation === "relu";
  const onlyReader = ({ name }: Layer) => {
    const [reader, ...others] = readers.get(name) ?? [];
    return others.length === 0 ? reader : undefined;
  };
  const tensor = (name: string, shape: readonly number[], data?: Float32Array | Int32Array) => {
    tensors.push({ name, shape, type: data instanceof Int32Array ? "int32" : "float32", ...(data && { data }) });
    return tensors.length - 1;
  };
  const apply = (
    layer: Layer,
    operator: OperatorName,
    inputs: readonly number[],
    options: Fields,
    shape = layer.outputShape,
  ) => {
    const output = tensor(`${layer.name}/${operator}`, [1, ...shape]);
    list.push({ operator, inputs, output, options });
    return output;
  };
  const data = (name: string) => weights.get(name)!.data as Float32Array;

  /** A convolution with the normalization and the ReLU that follow it. */
  const convolution = (
    layer: Layer,
    input: number,
    kernelName: string,
    config: ConfigOf<"Conv2D" | "SeparableConv2D">,
  ) => {
    const normalization = onlyReader(layer);
    if (normalization?.config.type !== "BatchNormalization")
      throw new Error(`tflite: ${layer.name} has no normalization`);
    const activation = onlyReader(normalization);
    const isActivated = activation !== undefined && isRelu(activation);
    const [height, width, channels, filters] = weights.get(kernelName)!.shape as [number, number, number, number];
    const { factors, bias } = folded(normalization, data);
    const kernel = data(kernelName);
    const written = new Float32Array(kernel.length);
    const perFilter = height * width * channels;
    // HWIO → OHWI
    for (let index = 0; index < perFilter; index++) {
      for (let filter = 0; filter < filters; filter++) {
        written[filter * perFilter + index] = kernel[index * filters + filter]! * factors[filter]!;
      }
    }
    const inputs = [
      input,
      tensor(kernelName, [filters, height, width, channels], written),
      tensor(`${normalization.name}/bias`, [filters], bias),
    ];
    const [down, across] = config.type === "Conv2D" ? config.strides : [1, 1];
    const padding = config.type === "Conv2D" ? paddingOf(config.padding) : 0;
    const options: Fields = [
      ["byte", padding],
      ["int", across],
      ["int", down],
      ["byte", Number(isActivated)],
      ["int", 1],
      ["int", 1],
    ];
    const output = apply(layer, "conv", inputs, options);
    outputs.set(normalization.name, output);
    if (isActivated) outputs.set(activation.name, output);
  };

  for (const layer of network.layers) {
    const { name, config, inbound, outputShape } = layer;
    if (outputs.has(name)) continue;
    const inputs = inbound.map((source) => outputs.get(source)!);
    const [input] = inputs as [number];
    if (config.type === "InputLayer") outputs.set(name, tensor(name, [1, ...outputShape]));
    else if (config.type === "Conv2D") convolution(layer, input, `${name}/kernel`, config);
    else if (config.type === "SeparableConv2D") {
      const [[height, width], [down, across]] = [config.kernelSize, config.strides];
      const channels = tensors[input]!.shape[3]!;
      const kernel = tensor(`${name}/depthwise`, [1, height, width, channels], data(`${name}/depthwise_kernel`));
      const none = tensor(`${name}/no_bias`, [channels], new Float32Array(channels));
      const options: Fields = [
        ["byte", paddingOf(config.padding)],
        ["int", across],
        ["int", down],
        ["int", 1],
        ["byte", 0],
        ["int", 1],
        ["int", 1],
      ];
      const filtered = apply(layer, "depthwise", [input, kernel, none], options, [
        ...outputShape.slice(0, 2),
        channels,
      ]);
      convolution(layer, filtered, `${name}/pointwise_kernel`, config);
    } else if (isRelu(layer)) outputs.set(name, apply(layer, "relu", [input], []));
    else if (config.type === "Add") outputs.set(name, apply(layer, "add", inputs, [["byte", 0]]));
    else if (config.type === "MaxPooling2D") {
      const [[height, width], [down, across]] = [config.poolSize, config.strides];
      const options: Fields = [
        ["byte", paddingOf(config.padding)],
        ["int", across],
        ["int", down],
        ["int", width],
        ["int", height],
        ["byte", 0],
      ];
      outputs.set(name, apply(layer, "maxPool", [input], options));
    } else if (config.type === "GlobalAveragePooling2D") {
      const axes = tensor(`${name}/axes`, [2], Int32Array.of(1, 2));
      outputs.set(name, apply(layer, "mean", [input, axes], [["byte", 0]]));
    } else if (config.type === "Dense") {
      const [from, to] = weights.get(`${name}/kernel`)!.shape as [number, number];
      const kernel = data(`${name}/kernel`);
      const turned = Float32Array.from(kernel, (_, index) => kernel[(index % from) * to + Math.floor(index / from)]!);
      const given = [
        input,
        tensor(`${name}/kernel`, [to, from], turned),
        tensor(`${name}/bias`, [to], data(`${name}/bias`)),
      ];
      const logits = apply(layer, "dense", given, [
        ["byte", 0],
        ["byte", 0],
      ]);
      outputs.set(name, apply(layer, "softmax", [logits], [["float", 1]]));
    } else throw new Error(`tflite: no operator for ${config.type}`);
  }
  return encode(tensors, list, outputs.get(network.output)!);
}

function paddingOf(padding: Padding): number {
  return padding === "same" ? 0 : 1;
}

/** What a normalization does to each filter: a factor, and an offset. */
function folded({ name, config }: Layer, data: (name: string) => Float32Array) {
  const { epsilon } = config as ConfigOf<"BatchNormalization">;
  const [gamma, beta, mean, variance] = ["gamma", "beta", "moving_mean", "moving_variance"].map((each) =>
    data(`${name}/${each}`),
  );
  const factors = Float32Array.from(gamma!, (value, index) => value / Math.sqrt(variance![index]! + epsilon));
  return { factors, bias: Float32Array.from(beta!, (value, index) => value - mean![index]! * factors[index]!) };
}

function encode(tensors: readonly TfliteTensor[], list: readonly TfliteOperator[], output: number): Uint8Array {
  const size = tensors.reduce((sum, { shape, data }) => sum + 200 + (data ? 4 * sizeOf(shape) : 0), 10_000);
  const builder = new Builder(size);
  const bytes = (data: Float32Array | Int32Array) => {
    // XNNPACK reads aligned weights where they are.
    builder.startVector(1, data.byteLength, 16);
    builder.space -= data.byteLength;
    builder.bb.bytes().set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), builder.space);
    return builder.endVector();
  };
  const ints = (values: readonly number[]) => {
    builder.startVector(4, values.length, 4);
    for (const value of values.toReversed()) builder.addInt32(value);
    return builder.endVector();
  };
  const offsets = (values: readonly Offset[]) => {
    builder.startVector(4, values.length, 4);
    for (const value of values.toReversed()) builder.addOffset(value);
    return builder.endVector();
  };
  const table = (fields: readonly (readonly ["byte" | "int" | "float" | "offset", number] | undefined)[]) => {
    builder.startObject(fields.length);
    for (const [slot, field] of fields.entries()) {
      if (field === undefined) continue;
      // Without a default: every field is written.
      if (field[0] === "byte") builder.addFieldInt8(slot, field[1], undefined as never);
      else if (field[0] === "int") builder.addFieldInt32(slot, field[1], undefined as never);
      else if (field[0] === "float") builder.addFieldFloat32(slot, field[1], undefined as never);
      else builder.addFieldOffset(slot, field[1], 0);
    }
    return builder.endObject();
  };

  // Buffer 0 is empty: tensors without data.
  const stored = tensors.filter(({ data }) => data);
  const buffers = [table([undefined]), ...stored.map(({ data }) => table([["offset", bytes(data!)]]))];
  const tensorTables = tensors.map((each) => {
    const [shape, name] = [ints(each.shape), builder.createString(each.name)];
    return table([
      ["offset", shape],
      ["byte", types[each.type]],
      ["int", stored.indexOf(each) + 1],
      ["offset", name],
    ]);
  });
  const used = [...new Set(list.map(({ operator }) => operator))];
  const operatorTables = list.map(({ operator, inputs, output: to, options }) => {
    const [from, into] = [ints(inputs), ints([to])];
    const settings = options.length > 0 ? table(options) : undefined;
    return table([
      ["int", used.indexOf(operator)],
      ["offset", from],
      ["offset", into],
      ["byte", settings === undefined ? 0 : optionTables[operator]],
      settings === undefined ? undefined : ["offset", settings],
    ]);
  });
  const graph = [offsets(tensorTables), ints([0]), ints([output]), offsets(operatorTables)];
  const subgraphs = offsets([table(graph.map((each) => ["offset", each] as const))]);
  const codes = offsets(
    used.map((each) => table([["byte", operators[each]], undefined, ["int", 1], ["int", operators[each]]])),
  );
  const all = offsets(buffers);
  builder.finish(table([["int", 3], ["offset", codes], ["offset", subgraphs], undefined, ["offset", all]]), "TFL3");
  return builder.asUint8Array().slice();
}
