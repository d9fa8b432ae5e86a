import type { LayerConfig } from "../../graph/layers.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
import { topOptionsOf, widthFrom } from "../recognize.ts";
import { type XceptionOptions, xceptionOptions } from "./options.ts";

/** Options derived from a few layers; one of them builds the network, under any layer names, if any do. */
export function xceptionCandidates(network: Network): XceptionOptions[] {
  const configs = network.layers.map(({ config }) => config);
  const separable = configs.filter((config) => config.type === "SeparableConv2D");
  const inputShape = inputShapeOf(network);
  const width = widthOf(configs);
  // Six separable convolutions in the entry flow, four in the exit flow, three in each block between them.
  const middleFlowRepeats = (separable.length - 10) / 3;
  if (inputShape.length !== 3 || Math.min(inputShape[0]!, inputShape[1]!) < xceptionOptions.smallest) return [];
  if (width === undefined || !Number.isInteger(middleFlowRepeats) || middleFlowRepeats < 0) return [];
  const shared = {
    inputShape: inputShape as unknown as readonly [number, number, number],
    width,
    middleFlowRepeats,
    residual: configs.some(({ type }) => type === "Add"),
    intermediateActivation: intermediateOf(separable[0]!.intermediateActivation),
    ...engineOf(configs),
  } as const;
  return (["paper", "tutorial"] as const).map((variant) => ({ variant, ...shared, ...topOf(configs) }));
}

/** Options that differ between implementations; omitted if equal to Keras. */
function engineOf(configs: readonly LayerConfig[]): XceptionOptions {
  const epsilon = configs.find((config) => config.type === "BatchNormalization")?.epsilon;
  const padding = configs.find((config) => config.type === "MaxPooling2D")?.padding;
  return {
    ...(epsilon !== undefined && epsilon !== 1e-3 && { batchNormEpsilon: epsilon }),
    ...(padding !== "same" && { poolPadding: "symmetric" }),
  };
}

function intermediateOf(activation: string) {
  return activation === "relu" || activation === "elu" ? activation : "none";
}

function topOf(configs: readonly LayerConfig[]): XceptionOptions {
  const options = topOptionsOf(configs);
  const units = configs.flatMap((config) => (config.type === "Dense" ? [config.units] : []));
  return options.includeTop === false ? options : { ...options, fcUnits: units.slice(0, -1) };
}

/** Channels of the first two and the last two convolutions in the paper. */
const paperChannels = [32, 64] as const;
const lastPaperChannels = [1536, 2048] as const;

function widthOf(configs: readonly LayerConfig[]): number | undefined {
  const filters = (type: LayerConfig["type"]) =>
    configs.flatMap((config) => (config.type === type && "filters" in config ? [config.filters] : []));
  return widthFrom([
    ...paperChannels.map((paper, index) => [paper, filters("Conv2D")[index]] as const),
    ...lastPaperChannels.map((paper, index) => [paper, filters("SeparableConv2D").at(index - 2)] as const),
    [728, filters("SeparableConv2D")[4]],
  ]);
}
