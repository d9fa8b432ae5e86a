import type { LayerConfig } from "../../graph/layers.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
import { kerasPreprocessing } from "../../graph/preprocessing.ts";
import { defineFamily } from "../family.ts";
import { topOptionsOf, widthFrom } from "../recognize.ts";
import {
  batchNormEntries,
  classifierEntries,
  convBnEntries,
  convEntries,
  layerNames,
  separableEntries,
  type TimmEntry,
} from "../timm-entries.ts";
import { type XceptionOptions, xceptionOptions } from "./options.ts";
import { xception } from "./paper.ts";

/**
 * Xception as published, as in keras.applications and as the "from scratch" article lists it.
 * @see https://arxiv.org/abs/1610.02357, timm/models/xception.py
 */
export const xceptionFamily = defineFamily({
  family: "xception",
  options: xceptionOptions,
  names: {
    xception: {},
    /** timm's port, which is not bit-compatible with Keras; everything else is equal. */
    legacy_xception: { batchNormEpsilon: 1e-5, poolPadding: "symmetric" },
  },
  build: xception,
  preprocessing: kerasPreprocessing,
  published: {
    folder: "https://storage.googleapis.com/tensorflow/keras-applications/xception/",
    withTop: {
      name: "xception_weights_tf_dim_ordering_tf_kernels.h5",
      md5: "0a58e3b7378bc2990ea3b43d5981f1f6",
    },
    withoutTop: {
      name: "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
      md5: "b0042744bf5b25fce3cb969f33bebb97",
    },
    license: "MIT",
    origin: "keras.applications.Xception, trained on ImageNet",
  },
  hub: { "timm/legacy_xception.tf_in1k": "Apache-2.0" },
  candidates: xceptionCandidates,
  timm: {
    cropRatios: { legacy_xception: 0.897 },
    entries: timmEntries,
    recognize(shapes) {
      const filters = (entry: string): number | undefined => shapes.get(entry)?.[0];
      // Twelve blocks; the last one widens to 1024 channels.
      const isWhole = filters("block1.rep.0.conv1.weight") === 64 && filters("block12.skip.weight") === 1024;
      return isWhole ? { name: "legacy_xception", stem: "conv1.weight", classifier: "fc.weight" } : undefined;
    },
  },
});

/** The entries of `legacy_xception`, for any Xception. Weights unknown to timm are missing. */
function* timmEntries(network: Network): Iterable<TimmEntry> {
  const has = layerNames(network);
  if (!has("block1_conv1")) return;
  for (const step of [1, 2]) yield* convBnEntries(`conv${step}`, `bn${step}`, `block1_conv${step}`);
  // Keras names shortcuts automatically and numbers them across the blocks that have one.
  let shortcuts = 0;
  let block = 2;
  for (; has(`block${block + 1}_sepconv1`); block++) {
    const module = `block${block - 1}`;
    if (has(`block${block}_pool`)) {
      const number = shortcuts === 0 ? "" : `_${shortcuts}`;
      yield* convEntries(`${module}.skip`, `conv2d${number}`);
      yield* batchNormEntries(`${module}.skipbn`, `batch_normalization${number}`);
      shortcuts++;
    }
    // In `rep`, every module has a number: ReLU, convolution, normalization; the first block does not start with a ReLU.
    const first = has(`block${block}_sepconv1_act`) ? 1 : 0;
    for (let step = 0; has(`block${block}_sepconv${step + 1}`); step++) {
      const position = first + 3 * step;
      const [conv, layer] = [`${module}.rep.${position}`, `block${block}_sepconv${step + 1}`];
      yield* separableEntries(`${conv}.conv1`, `${conv}.pointwise`, layer);
      yield* batchNormEntries(`${module}.rep.${position + 1}`, `${layer}_bn`);
    }
  }
  for (const step of [1, 2]) {
    const layer = `block${block}_sepconv${step}`;
    yield* separableEntries(`conv${step + 2}.conv1`, `conv${step + 2}.pointwise`, layer);
    yield* batchNormEntries(`bn${step + 2}`, `${layer}_bn`);
  }
  if (has("predictions")) yield* classifierEntries("fc");
}

/** Options derived from a few layers; one of them builds the network, under any layer names, if any do. */
function xceptionCandidates(network: Network): XceptionOptions[] {
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
