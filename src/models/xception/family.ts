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
import { xceptionOptions } from "./options.ts";
import { xception } from "./paper.ts";
import { xceptionCandidates } from "./recognize.ts";

/**
 * Xception as published, as in keras.applications and as the "from scratch" article lists it.
 * @see https://arxiv.org/abs/1610.02357, timm/models/xception.py
 */
export const xceptionFamily = defineFamily({
  family: "xception",
  options: xceptionOptions,
  names: {
    xception: {},
    /** timm's port, which is not bit-compatible with Keras; all else is the same. */
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
  candidates: xceptionCandidates,
  timm: {
    cropRatios: { legacy_xception: 0.897 },
    entries: timmEntries,
    recognize(shapes) {
      const filters = (entry: string): number | undefined => shapes.get(entry)?.[0];
      // Twelve blocks, of which the last one widens to 1024 channels.
      const isWhole = filters("block1.rep.0.conv1.weight") === 64 && filters("block12.skip.weight") === 1024;
      return isWhole ? { name: "legacy_xception", stem: "conv1.weight", classifier: "fc.weight" } : undefined;
    },
  },
});

/** Those of `legacy_xception`; any Xception has them but for what timm has not. */
function timmEntries(network: Network): readonly TimmEntry[] | undefined {
  const has = layerNames(network);
  if (!has("block1_conv1")) return undefined;
  const entries = [
    ...[1, 2].flatMap((step) => [
      ...convEntries(`conv${step}`, `block1_conv${step}`),
      ...batchNormEntries(`bn${step}`, `block1_conv${step}_bn`),
    ]),
  ];
  // Keras gives shortcuts their automatic names; they count on through the blocks that have one.
  let shortcuts = 0;
  let block = 2;
  for (; has(`block${block + 1}_sepconv1`); block++) {
    const module = `block${block - 1}`;
    if (has(`block${block}_pool`)) {
      const number = shortcuts === 0 ? "" : `_${shortcuts}`;
      entries.push(...convEntries(`${module}.skip`, `conv2d${number}`));
      entries.push(...batchNormEntries(`${module}.skipbn`, `batch_normalization${number}`));
      shortcuts++;
    }
    // In `rep`, every module has a number: ReLU, convolution, normalization; the first block has no ReLU at its start.
    const first = has(`block${block}_sepconv1_act`) ? 1 : 0;
    for (let step = 0; has(`block${block}_sepconv${step + 1}`); step++) {
      const layer = `block${block}_sepconv${step + 1}`;
      const position = first + 3 * step;
      entries.push(
        ...separableEntries(`${module}.rep.${position}.conv1`, `${module}.rep.${position}.pointwise`, layer),
      );
      entries.push(...batchNormEntries(`${module}.rep.${position + 1}`, `${layer}_bn`));
    }
  }
  for (const step of [1, 2]) {
    const layer = `block${block}_sepconv${step}`;
    entries.push(...separableEntries(`conv${step + 2}.conv1`, `conv${step + 2}.pointwise`, layer));
    entries.push(...batchNormEntries(`bn${step + 2}`, `${layer}_bn`));
  }
  return has("predictions") ? [...entries, ...classifierEntries("fc")] : entries;
}
