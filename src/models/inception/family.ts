import { inputShapeOf, type Network } from "../../graph/network.ts";
import { kerasPreprocessing } from "../../graph/preprocessing.ts";
import { defineFamily } from "../family.ts";
import { topOptionsOf, widthFrom } from "../recognize.ts";
import { batchNormEntries, classifierEntries, convEntries, type TimmEntry } from "../timm-entries.ts";
import { type InceptionV3Options, inceptionOptions, inceptionV3 } from "./v3.ts";

/**
 * Inception V3 as published and as in keras.applications.
 * @see https://arxiv.org/abs/1512.00567, timm/models/inception_v3.py
 */
export const inceptionFamily = defineFamily({
  family: "inception-v3",
  options: inceptionOptions,
  names: {
    "inception-v3": {},
    /** timm's port, which is torchvision's. */
    inception_v3: { batchNormScale: true, averagePadding: "zeros" },
  },
  build: inceptionV3,
  preprocessing: kerasPreprocessing,
  published: {
    folder: "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/",
    withTop: {
      name: "inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
      md5: "9a0d58056eeedaa3f26cb7ebd46da564",
    },
    withoutTop: {
      name: "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
      md5: "bcbd6486424b2319ff4ef7d526e38f63",
    },
    license: "MIT",
    origin: "keras.applications.InceptionV3, trained on ImageNet",
  },
  candidates,
  timm: {
    cropRatios: { inception_v3: 0.875 },
    entries: timmEntries,
    recognize(shapes) {
      const isWhole = shapes.get("Mixed_7c.branch_pool.conv.weight")?.[0] === 192;
      const [stem, classifier] = ["Conv2d_1a_3x3.conv.weight", "fc.weight"];
      return isWhole && shapes.has(stem) ? { name: "inception_v3", stem, classifier } : undefined;
    },
    /** The auxiliary classifier, which only training uses. */
    isUnused: (entry) => entry.startsWith("AuxLogits."),
  },
});

function candidates(network: Network): InceptionV3Options[] {
  const configs = network.layers.map(({ config }) => config);
  const filters = configs.flatMap((config) => (config.type === "Conv2D" ? [config.filters] : []));
  const inputShape = inputShapeOf(network);
  if (filters.length !== timmModules.length || inputShape.length !== 3) return [];
  const width = widthFrom([
    [32, filters[0]],
    [192, filters[4]],
    [448, Math.max(...filters)],
  ]);
  if (width === undefined || Math.min(inputShape[0]!, inputShape[1]!) < inceptionOptions.smallest) return [];
  const scales = configs.some((config) => config.type === "BatchNormalization" && config.scale);
  const options = {
    inputShape: inputShape as unknown as readonly [number, number, number],
    width,
    ...(scales && { batchNormScale: true }),
    ...(configs.some(({ type }) => type === "ZeroPadding2D") && { averagePadding: "zeros" as const }),
  };
  return [{ ...options, ...topOptionsOf(configs) }];
}

const blockA = ["branch1x1", "branch5x5_1", "branch5x5_2", ...numbered("branch3x3dbl_", 3), "branch_pool"];
const blockC = ["branch1x1", ...numbered("branch7x7_", 3), ...numbered("branch7x7dbl_", 5), "branch_pool"];
const blockE = [
  ...["branch1x1", "branch3x3_1", "branch3x3_2a", "branch3x3_2b"],
  ...["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool"],
];

/** timm's modules, in the order in which our convolutions are numbered. */
const timmModules = [
  ...["1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"].map((name) => `Conv2d_${name}`),
  ...["5b", "5c", "5d"].flatMap((block) => blockA.map((branch) => `Mixed_${block}.${branch}`)),
  ...["branch3x3", ...numbered("branch3x3dbl_", 3)].map((branch) => `Mixed_6a.${branch}`),
  ...["6b", "6c", "6d", "6e"].flatMap((block) => blockC.map((branch) => `Mixed_${block}.${branch}`)),
  ...[...numbered("branch3x3_", 2), ...numbered("branch7x7x3_", 4)].map((branch) => `Mixed_7a.${branch}`),
  ...["7b", "7c"].flatMap((block) => blockE.map((branch) => `Mixed_${block}.${branch}`)),
];

function numbered(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${name}${index + 1}`);
}

/** The entries of `inception_v3`; a network without gamma has no place for that of timm. */
function* timmEntries({ name, layers }: Network): Iterable<TimmEntry> {
  if (name !== "inception_v3") return;
  const weights = new Set(layers.flatMap((layer) => layer.weights.map((weight) => weight.name)));
  for (const [index, module] of timmModules.entries()) {
    const number = index === 0 ? "" : `_${index}`;
    yield* convEntries(`${module}.conv`, `conv2d${number}`);
    yield* batchNormEntries(`${module}.bn`, `batch_normalization${number}`);
  }
  if (weights.has("predictions/kernel")) yield* classifierEntries("fc");
}
