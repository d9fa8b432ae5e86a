import type { Network } from "../../graph/network.ts";
import { kerasPreprocessing } from "../../graph/preprocessing.ts";
import { defineFamily } from "../family.ts";
import {
  batchNormEntries,
  classifierEntries,
  convEntries,
  layerNames,
  separableEntries,
  type TimmEntry,
} from "../timm-entries.ts";
import { alignedOptions, alignedXception } from "./network.ts";

/** Number of blocks → name, for networks with normalization after and before convolutions. */
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
  /** The third convolution of a block has the stride: timm takes the feature map before it. */
  stages({ layers }) {
    return layers.flatMap(({ name, config, inbound }) => {
      const [, block, depthwise] = /^(block\d+)_sepconv3(_depthwise)?$/.exec(name) ?? [];
      if (block === undefined || !("strides" in config) || config.strides[0] === 1) return [];
      // Where normalization and activation come first, timm takes the second convolution's output as it is.
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

function timmEntries(network: Network): readonly TimmEntry[] | undefined {
  const has = layerNames(network);
  if (!has("stem_conv1")) return undefined;
  const isPreActivated = has("block1_bn");
  const entries: TimmEntry[] = [
    ...convEntries("stem.0.conv", "stem_conv1"),
    ...batchNormEntries("stem.0.bn", "stem_conv1_bn"),
  ];
  if (isPreActivated) entries.push(...convEntries("stem.1", "stem_conv2"));
  else entries.push(...convEntries("stem.1.conv", "stem_conv2"), ...batchNormEntries("stem.1.bn", "stem_conv2_bn"));
  for (let block = 1; has(`block${block}_sepconv1`) || has(`block${block}_sepconv1_depthwise`); block++) {
    const module = `blocks.${block - 1}`;
    const layer = `block${block}`;
    const hasProjection = has(`${layer}_shortcut`);
    if (isPreActivated) {
      if (hasProjection) entries.push(...convEntries(`${module}.shortcut`, `${layer}_shortcut`));
      entries.push(...batchNormEntries(`${module}.norm`, `${layer}_bn`));
    } else if (hasProjection) {
      entries.push(...convEntries(`${module}.shortcut.conv`, `${layer}_shortcut`));
      entries.push(...batchNormEntries(`${module}.shortcut.bn`, `${layer}_shortcut_bn`));
    }
    for (const step of [1, 2, 3]) {
      const [inner, ours] = [`${module}.stack.conv${step}`, `${layer}_sepconv${step}`];
      if (isPreActivated) {
        if (step > 1) entries.push(...batchNormEntries(`${inner}.norm`, `${ours}_bn`));
        entries.push(...separableEntries(`${inner}.conv_dw`, `${inner}.conv_pw`, ours));
      } else {
        entries.push(...convEntries(`${inner}.conv_dw`, `${ours}_depthwise`));
        entries.push(...batchNormEntries(`${inner}.bn_dw`, `${ours}_depthwise_bn`));
        entries.push(...convEntries(`${inner}.conv_pw`, `${ours}_pointwise`));
        entries.push(...batchNormEntries(`${inner}.bn_pw`, `${ours}_pointwise_bn`));
      }
    }
  }
  return has("predictions") ? [...entries, ...classifierEntries("head.fc")] : entries;
}
