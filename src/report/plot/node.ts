import type { ConfigOf, LayerConfig, LayerType, Size2 } from "../../graph/layers.ts";
import type { Layer } from "../../graph/network.ts";
import { formatShape, type Shape } from "../../tensor/shape.ts";

type Details = { readonly [T in LayerType]?: (config: ConfigOf<T>) => string };

/** What a reader wants to know of a layer beside its type. */
const details: Details = {
  Conv2D: ({ kernelSize, strides }) => windowText(kernelSize, strides),
  SeparableConv2D: ({ kernelSize, strides }) => windowText(kernelSize, strides),
  DepthwiseConv2D: ({ kernelSize, strides }) => windowText(kernelSize, strides),
  Activation: ({ activation }) => activation,
  MaxPooling2D: ({ poolSize, strides }) => windowText(poolSize, strides),
  Dropout: ({ rate }) => String(rate),
  Dense: ({ activation }) => (activation === "linear" ? "" : activation),
};

/** Fill and outline of a node: related kinds of layers in related colors, so that the pattern of a block is seen. */
export const nodeColors: Readonly<Record<LayerType, readonly [fill: string, line: string]>> = {
  InputLayer: ["#ffffff", "#5a6675"],
  Conv2D: ["#d8e6fb", "#2463d1"],
  SeparableConv2D: ["#b9d2f8", "#2463d1"],
  DepthwiseConv2D: ["#c8dcfa", "#2463d1"],
  BatchNormalization: ["#eef1f5", "#9aa6b5"],
  Activation: ["#fdeecf", "#c98a14"],
  ReLU: ["#fdeecf", "#c98a14"],
  MaxPooling2D: ["#fbdcd3", "#cc5a35"],
  GlobalAveragePooling2D: ["#fbdcd3", "#cc5a35"],
  GlobalMaxPooling2D: ["#fbdcd3", "#cc5a35"],
  Add: ["#d3eddd", "#14804f"],
  Dropout: ["#f3e3f4", "#8d4b94"],
  Dense: ["#e5dcf9", "#6a46c4"],
};

/** `"SeparableConv2D 3×3"`, `"MaxPooling2D 3×3, stride 2"`, `"Activation relu"`. */
export function describeLayer(config: LayerConfig): string {
  const detail = (details[config.type] as ((config: LayerConfig) => string) | undefined)?.(config) ?? "";
  return detail === "" ? config.type : `${config.type} ${detail}`;
}

/** `"147×147×128 → 74×74×128"`; the input has no left side. */
export function describeShapes(layer: Layer, inputs: readonly Shape[]): string {
  const output = formatShape(layer.outputShape);
  return inputs.length === 0 ? output : `${inputs.map(formatShape).join(", ")} → ${output}`;
}

function windowText(window: Size2, strides: Size2): string {
  const [down, across] = strides;
  const stride = down === across ? `${down}` : formatShape(strides);
  return stride === "1" ? formatShape(window) : `${formatShape(window)}, stride ${stride}`;
}
