import type { Network } from "../../graph/network.ts";
import { kerasPreprocessing } from "../../graph/preprocessing.ts";
import { defineFamily } from "../family.ts";
import {
  batchNormEntries,
  classifierEntries,
  convBnEntries,
  convEntries,
  layerNames,
  separableEntries,
  type TimmEntry,
} from "../timm-entries.ts";
import { alignedOptions, alignedXception } from "./network.ts";

/** Names by number of blocks: with normalization after convolutions, and before them. */
const namesByBlocks = {
  13: ["xception41", "xception41p"],
  21: ["xception65", "xception65p"],
  23: ["xception71", undefined],
} as const;

/**
 * The aligned Xceptions of DeepLab, as timm has them.
 * @see timm/models/xception_aligned.py
 */
export const alignedFamily = defineFamily({
  family: "aligned-xception",
  options: alignedOptions,
  names: {
    xception41: { variant: "41" },
    xception65: { variant: "65" },
    xception71: { variant: "71" },
    xception41p: { variant: "41p" },
    xception65p: { variant: "65p" },
  },
  build: alignedXception,
  preprocessing: kerasPreprocessing,
  hub: {
    "timm/xception41.tf_in1k": "Apache-2.0",
    "timm/xception65.tf_in1k": "Apache-2.0",
    "timm/xception71.tf_in1k": "Apache-2.0",
    "timm/xception41p.ra3_in1k": "Apache-2.0",
    "timm/xception65.ra3_in1k": "Apache-2.0",
    "timm/xception65p.ra3_in1k": "Apache-2.0",
  },
  /** A block downsamples in its third convolution; timm takes the feature map before it. */
  stages({ layers }) {
    return layers.flatMap(({ name, config, inbound }) => {
      const [, block, depthwise] = /^(block\d+)_sepconv3(_depthwise)?$/.exec(name) ?? [];
      if (block === undefined || !("strides" in config) || config.strides[0] === 1) return [];
      // With pre-activation, timm takes the second convolution's output before the next normalization.
      return depthwise ? inbound.slice(0, 1) : [`${block}_sepconv2`];
    });
  },
  timm: {
    cropRatios: { xception41: 0.903, xception65: 0.903, xception71: 0.903, xception41p: 0.94, xception65p: 0.94 },
    entries: timmEntries,
    recognize(shapes) {
      if (shapes.get("stem.0.conv.weight")?.[0] !== 32) return undefined;
      const isPreActivated = shapes.has("blocks.0.norm.weight");
      const blocks = new Set([...shapes.keys()].flatMap((name) => /^blocks\.\d+\./.exec(name) ?? []));
      const name = namesByBlocks[blocks.size as keyof typeof namesByBlocks]?.[isPreActivated ? 1 : 0];
      return name && { name, stem: "stem.0.conv.weight", classifier: "head.fc.weight" };
    },
  },
});

function* timmEntries(network: Network): Iterable<TimmEntry> {
  const has = layerNames(network);
  if (!has("stem_conv1")) return;
  const isPreActivated = has("block1_bn");
  yield* convBnEntries("stem.0.conv", "stem.0.bn", "stem_conv1");
  if (isPreActivated) yield* convEntries("stem.1", "stem_conv2");
  else yield* convBnEntries("stem.1.conv", "stem.1.bn", "stem_conv2");
  for (let block = 1; has(`block${block}_sepconv1`) || has(`block${block}_sepconv1_depthwise`); block++) {
    const [module, layer] = [`blocks.${block - 1}`, `block${block}`];
    const hasProjection = has(`${layer}_shortcut`);
    if (isPreActivated) {
      if (hasProjection) yield* convEntries(`${module}.shortcut`, `${layer}_shortcut`);
      yield* batchNormEntries(`${module}.norm`, `${layer}_bn`);
    } else if (hasProjection) {
      yield* convBnEntries(`${module}.shortcut.conv`, `${module}.shortcut.bn`, `${layer}_shortcut`);
    }
    for (const step of [1, 2, 3]) {
      const [inner, ours] = [`${module}.stack.conv${step}`, `${layer}_sepconv${step}`];
      if (isPreActivated) {
        if (step > 1) yield* batchNormEntries(`${inner}.norm`, `${ours}_bn`);
        yield* separableEntries(`${inner}.conv_dw`, `${inner}.conv_pw`, ours);
      } else {
        yield* convBnEntries(`${inner}.conv_dw`, `${inner}.bn_dw`, `${ours}_depthwise`);
        yield* convBnEntries(`${inner}.conv_pw`, `${inner}.bn_pw`, `${ours}_pointwise`);
      }
    }
  }
  if (has("predictions")) yield* classifierEntries("head.fc");
}
