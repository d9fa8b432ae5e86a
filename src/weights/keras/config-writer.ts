import type { LayerType } from "../../graph/layers.ts";
import type { Layer, Network } from "../../graph/network.ts";
import type { Shape } from "../../tensor/shape.ts";
import { type KerasConfigStyle, kerasLayerConfig, kerasZeroPadding, kerasZeroPaddingConfig } from "./layer-configs.ts";

type Json = { readonly [key: string]: unknown };

/**
 * A network as Keras describes it: the content of `config.json` or of the attribute `model_config`.
 * @throws {UsageError} Keras has no layer that computes what one of the network's does.
 */
export function kerasModelConfig(network: Network, style: KerasConfigStyle): Json {
  const shapes = new Map(network.layers.map((layer) => [layer.name, layer.outputShape]));
  const first = network.layers.find(({ config }) => config.type === "InputLayer")!;
  const config = {
    name: network.name,
    trainable: true,
    layers: network.layers.flatMap((layer) => entriesOf(layer, shapes, style)),
    input_layers: style === "legacy" ? [[first.name, 0, 0]] : [first.name, 0, 0],
    output_layers: style === "legacy" ? [[network.output, 0, 0]] : [network.output, 0, 0],
  };
  if (style === "legacy") return { class_name: "Functional", config };
  return {
    module: "keras.src.models.functional",
    class_name: "Functional",
    config,
    registered_name: "Functional",
    build_config: { input_shape: null },
    compile_config: {},
  };
}

/** A layer, behind a ZeroPadding2D if it takes one to say the same. */
function entriesOf(layer: Layer, shapes: ReadonlyMap<string, Shape>, style: KerasConfigStyle): Json[] {
  const { name, inbound, config } = layer;
  const around = kerasZeroPadding(config);
  if (around === undefined) return [entryOf(layer, config.type, kerasLayerConfig(layer, style), shapes, style)];
  let padName = `${name}_pad`;
  while (shapes.has(padName)) padName += "_";
  const [height, width, channels] = shapes.get(inbound[0]!) as [number, number, number];
  const padded = [height + 2 * around[0], width + 2 * around[1], channels];
  const pad = { name: padName, inbound };
  const reader = { name, inbound: [padName] };
  return [
    entryOf(pad, "ZeroPadding2D", kerasZeroPaddingConfig(padName, around, style), shapes, style),
    entryOf(reader, config.type, kerasLayerConfig(layer, style), new Map([[padName, padded]]), style),
  ];
}

function entryOf(
  { name, inbound }: Pick<Layer, "name" | "inbound">,
  type: LayerType | "ZeroPadding2D",
  config: Json,
  shapes: ReadonlyMap<string, Shape>,
  style: KerasConfigStyle,
): Json {
  if (style === "legacy") {
    const nodes = inbound.length === 0 ? [] : [inbound.map((source) => [source, 0, 0, {}])];
    return { class_name: type, config, name, inbound_nodes: nodes };
  }
  const tensors = inbound.map((source) => ({
    class_name: "__keras_tensor__",
    config: { shape: [null, ...shapes.get(source)!], dtype: "float32", keras_history: [source, 0, 0] },
  }));
  const inputShapes = inbound.map((source) => [null, ...shapes.get(source)!]);
  const severalInputs = type === "Add";
  const built = builtLayers.has(type);
  return {
    module: "keras.layers",
    class_name: type,
    config,
    registered_name: null,
    ...(built && { build_config: { input_shape: severalInputs ? inputShapes : inputShapes[0] } }),
    name,
    inbound_nodes:
      inbound.length === 0 ? [] : [{ args: severalInputs ? [tensors] : tensors, kwargs: callArguments[type] ?? {} }],
  };
}

/** Layers of which Keras notes for what shapes they were built. */
const builtLayers: ReadonlySet<string> = new Set([
  "Conv2D",
  "SeparableConv2D",
  "DepthwiseConv2D",
  "ZeroPadding2D",
  "BatchNormalization",
  "Add",
  "Dense",
]);

/** What Keras notes of the call of a layer, besides its inputs. */
const callArguments: Partial<Record<string, Json>> = {
  BatchNormalization: { mask: null },
  Dropout: { training: false },
};
