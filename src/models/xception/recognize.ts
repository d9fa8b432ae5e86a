import type { LayerConfig } from "../../graph/layers.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
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
  const dense = configs.filter((config) => config.type === "Dense");
  const classifier = dense.at(-1);
  if (classifier === undefined) {
    const last = configs.at(-1)!.type;
    const pooling = last === "GlobalAveragePooling2D" ? "avg" : last === "GlobalMaxPooling2D" ? "max" : "none";
    return { includeTop: false, pooling };
  }
  const { activation } = classifier;
  const dropout = configs.find((config) => config.type === "Dropout")?.rate;
  return {
    classes: classifier.units,
    classifierActivation: activation === "softmax" || activation === "sigmoid" ? activation : "none",
    fcUnits: dense.slice(0, -1).map(({ units }) => units),
    ...(dropout !== undefined && { dropout }),
  };
}

/** Channels of the first two and the last two convolutions in the paper. */
const paperChannels = [32, 64] as const;
const lastPaperChannels = [1536, 2048] as const;

/**
 * The factor between the network's channel counts and the paper's. Since counts are rounded to multiples of 8, several
 * factors fit; the one with the fewest digits is the likely option.
 */
function widthOf(configs: readonly LayerConfig[]): number | undefined {
  const filters = (type: LayerConfig["type"]) =>
    configs.flatMap((config) => (config.type === type && "filters" in config ? [config.filters] : []));
  const pairs = [
    ...paperChannels.map((paper, index) => [paper, filters("Conv2D")[index]] as const),
    ...lastPaperChannels.map((paper, index) => [paper, filters("SeparableConv2D").at(index - 2)] as const),
    [728, filters("SeparableConv2D")[4]] as const,
  ];
  let [low, high] = [0, 16];
  for (const [paper, actual] of pairs) {
    if (actual === undefined) return undefined;
    if (actual > 8) low = Math.max(low, (actual - 4) / paper);
    high = Math.min(high, (actual + 4) / paper);
  }
  if (low <= 1 && high >= 1) return 1;
  for (let digits = 0; digits <= 6; digits++) {
    const candidate = Math.ceil(low * 10 ** digits) / 10 ** digits;
    if (candidate > 0 && candidate < high) return Number(candidate.toFixed(digits));
  }
  return undefined;
}
