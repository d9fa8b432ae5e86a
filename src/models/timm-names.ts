import { UsageError } from "../errors.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import { type Architecture, buildNetwork } from "./architecture.ts";

/** An entry of the `state_dict` of a network of timm. */
export interface TimmName {
  /** E.g. `block1.rep.0.conv1.weight`. */
  readonly name: string;
  /** Our weight of the same meaning; `graph/torch-layout.ts` translates its layout. Undefined for counters. */
  readonly weight: WeightSpec | undefined;
}

/** An entry's name and the name of our weight. */
type Pair = readonly [name: string, weight: string | undefined];

/**
 * The `state_dict` of timm's network of the same architecture, in its order. Each batch normalization has a counter,
 * `num_batches_tracked`, one int64 without axes, that we have no use for.
 * @throws {UsageError} timm has no such network.
 * @see timm/models/xception.py (`legacy_xception`), timm/models/xception_aligned.py
 */
export function timmNames(architecture: Architecture): readonly TimmName[] {
  return timmNamesOf(buildNetwork(architecture));
}

/**
 * As {@link timmNames}, for a network that is there already.
 * @throws {UsageError} timm has no network with these layers.
 */
export function timmNamesOf(network: Network): readonly TimmName[] {
  const specs = new Map(networkWeights(network).map((spec) => [spec.name, spec]));
  const pairs = layerNames(network)("stem_conv1") ? alignedPairs(network) : legacyPairs(network);
  const wanted = new Set(pairs.flatMap(([, weight]) => weight ?? []));
  const stranger = [...specs.keys()].find((name) => !wanted.has(name)) ?? [...wanted].find((name) => !specs.has(name));
  if (stranger !== undefined) {
    throw new UsageError({
      where: `names of timm for network "${network.name}"`,
      what: `timm has no such network; its "${stranger.replace(/\/.*/, "")}" makes the difference`,
      expected: "the layers of legacy_xception, xception41, xception65, xception71, xception41p or xception65p",
    });
  }
  return pairs.map(([name, weight]) => ({ name, weight: weight === undefined ? undefined : specs.get(weight)! }));
}

function legacyPairs(network: Network): readonly Pair[] {
  const has = layerNames(network);
  const pairs = [
    ...[1, 2].flatMap((step) => [
      ...conv(`conv${step}`, `block1_conv${step}`),
      ...batchNorm(`bn${step}`, `block1_conv${step}_bn`),
    ]),
  ];
  // Keras gives shortcuts their automatic names; they count on through the blocks that have one.
  let shortcuts = 0;
  let block = 2;
  for (; has(`block${block + 1}_sepconv1`); block++) {
    const module = `block${block - 1}`;
    if (has(`block${block}_pool`)) {
      const number = shortcuts === 0 ? "" : `_${shortcuts}`;
      pairs.push(...conv(`${module}.skip`, `conv2d${number}`));
      pairs.push(...batchNorm(`${module}.skipbn`, `batch_normalization${number}`));
      shortcuts++;
    }
    // In `rep`, every module has a number: ReLU, convolution, normalization; the first block has no ReLU at its start.
    const first = has(`block${block}_sepconv1_act`) ? 1 : 0;
    for (let step = 0; has(`block${block}_sepconv${step + 1}`); step++) {
      const layer = `block${block}_sepconv${step + 1}`;
      const position = first + 3 * step;
      pairs.push(...separable(`${module}.rep.${position}.conv1`, `${module}.rep.${position}.pointwise`, layer));
      pairs.push(...batchNorm(`${module}.rep.${position + 1}`, `${layer}_bn`));
    }
  }
  for (const step of [1, 2]) {
    const layer = `block${block}_sepconv${step}`;
    pairs.push(...separable(`conv${step + 2}.conv1`, `conv${step + 2}.pointwise`, layer));
    pairs.push(...batchNorm(`bn${step + 2}`, `${layer}_bn`));
  }
  return has("predictions") ? [...pairs, ...dense("fc")] : pairs;
}

function alignedPairs(network: Network): readonly Pair[] {
  const has = layerNames(network);
  const isPreActivated = has("block1_bn");
  const pairs: Pair[] = [...conv("stem.0.conv", "stem_conv1"), ...batchNorm("stem.0.bn", "stem_conv1_bn")];
  if (isPreActivated) pairs.push(...conv("stem.1", "stem_conv2"));
  else pairs.push(...conv("stem.1.conv", "stem_conv2"), ...batchNorm("stem.1.bn", "stem_conv2_bn"));
  for (let block = 1; has(`block${block}_sepconv1`) || has(`block${block}_sepconv1_depthwise`); block++) {
    const module = `blocks.${block - 1}`;
    const layer = `block${block}`;
    const hasProjection = has(`${layer}_shortcut`);
    if (isPreActivated) {
      if (hasProjection) pairs.push(...conv(`${module}.shortcut`, `${layer}_shortcut`));
      pairs.push(...batchNorm(`${module}.norm`, `${layer}_bn`));
    } else if (hasProjection) {
      pairs.push(...conv(`${module}.shortcut.conv`, `${layer}_shortcut`));
      pairs.push(...batchNorm(`${module}.shortcut.bn`, `${layer}_shortcut_bn`));
    }
    for (const step of [1, 2, 3]) {
      const [inner, ours] = [`${module}.stack.conv${step}`, `${layer}_sepconv${step}`];
      if (isPreActivated) {
        if (step > 1) pairs.push(...batchNorm(`${inner}.norm`, `${ours}_bn`));
        pairs.push(...separable(`${inner}.conv_dw`, `${inner}.conv_pw`, ours));
      } else {
        pairs.push(...conv(`${inner}.conv_dw`, `${ours}_depthwise`));
        pairs.push(...batchNorm(`${inner}.bn_dw`, `${ours}_depthwise_bn`));
        pairs.push(...conv(`${inner}.conv_pw`, `${ours}_pointwise`));
        pairs.push(...batchNorm(`${inner}.bn_pw`, `${ours}_pointwise_bn`));
      }
    }
  }
  return has("predictions") ? [...pairs, ...dense("head.fc")] : pairs;
}

function layerNames({ layers }: Network): (name: string) => boolean {
  const names = new Set(layers.map(({ name }) => name));
  return (name) => names.has(name);
}

function conv(module: string, layer: string): Pair[] {
  return [[`${module}.weight`, `${layer}/kernel`]];
}

function separable(depthwise: string, pointwise: string, layer: string): Pair[] {
  return [
    [`${depthwise}.weight`, `${layer}/depthwise_kernel`],
    [`${pointwise}.weight`, `${layer}/pointwise_kernel`],
  ];
}

function batchNorm(module: string, layer: string): Pair[] {
  return [
    [`${module}.weight`, `${layer}/gamma`],
    [`${module}.bias`, `${layer}/beta`],
    [`${module}.running_mean`, `${layer}/moving_mean`],
    [`${module}.running_var`, `${layer}/moving_variance`],
    [`${module}.num_batches_tracked`, undefined],
  ];
}

function dense(module: string): Pair[] {
  return [
    [`${module}.weight`, "predictions/kernel"],
    [`${module}.bias`, "predictions/bias"],
  ];
}
