import { activation, add, input, type LayerOutput, maxPooling2d } from "../../graph/builder.ts";
import { type Network, network } from "../../graph/network.ts";
import { convBn, kerasTopNames, sepConvBn, top } from "../blocks.ts";
import { activationOf, checkedOptions, scaling } from "../options.ts";
import { completeFlow, type FlowOptions, type XceptionOptions, xceptionOptions } from "./options.ts";
import { tutorialEntryFlow, tutorialExitFlow, tutorialMiddleFlow } from "./tutorial.ts";

/**
 * Entry flow (paper, figure 5): two ordinary convolutions, then three blocks that halve the image and widen it to
 * 128, 256 and 728 channels. `[299, 299, 3] → [19, 19, 728]`.
 */
export function entryFlow(x: LayerOutput, options: FlowOptions = {}): LayerOutput {
  const { width, residual, pooling, inside, batchNormEpsilon } = completeFlow(options);

  x = convBn(x, { filters: width(32), kernelSize: 3, strides: 2, name: "block1_conv1", batchNormEpsilon });
  x = relu(x, "block1_conv1_act");
  x = convBn(x, { filters: width(64), kernelSize: 3, name: "block1_conv2", batchNormEpsilon });
  x = relu(x, "block1_conv2_act");

  for (const [block, filters] of [
    ["block2", width(128)],
    ["block3", width(256)],
    ["block4", width(728)],
  ] as const) {
    const shortcut = residual
      ? convBn(x, { filters, kernelSize: 1, strides: 2, padding: "same", batchNormEpsilon })
      : undefined;

    if (block !== "block2") x = relu(x, `${block}_sepconv1_act`);
    x = sepConvBn(x, { filters, name: `${block}_sepconv1`, ...inside });
    x = relu(x, `${block}_sepconv2_act`);
    x = sepConvBn(x, { filters, name: `${block}_sepconv2`, ...inside });
    x = maxPooling2d(x, { ...pooling, name: `${block}_pool` });

    if (shortcut) x = add([x, shortcut]);
  }
  return x;
}

/** Middle flow (paper, figure 5): eight times three separable convolutions around an identity. Shape unchanged. */
export function middleFlow(
  x: LayerOutput,
  { repeats = 8, ...options }: FlowOptions & { readonly repeats?: number } = {},
): LayerOutput {
  const { width, residual, inside } = completeFlow(options);

  for (let block = 5; block < 5 + repeats; block++) {
    const shortcut = x;
    for (const step of ["sepconv1", "sepconv2", "sepconv3"]) {
      x = relu(x, `block${block}_${step}_act`);
      x = sepConvBn(x, { filters: width(728), name: `block${block}_${step}`, ...inside });
    }
    if (residual) x = add([x, shortcut]);
  }
  return x;
}

/**
 * Exit flow without its top (paper, figure 5): one more halving block, then separable convolutions of 1536 and 2048
 * channels. `[19, 19, 728] → [10, 10, 2048]`. Its blocks are numbered 13 and 14 unless the middle flow has other than
 * eight repeats; `firstBlock` sets the first number.
 */
export function exitFlow(
  x: LayerOutput,
  { firstBlock = 13, ...options }: FlowOptions & { readonly firstBlock?: number } = {},
): LayerOutput {
  const { width, residual, pooling, inside, batchNormEpsilon } = completeFlow(options);
  const halving = `block${firstBlock}`;
  const last = `block${firstBlock + 1}`;

  const shortcut = residual
    ? convBn(x, { filters: width(1024), kernelSize: 1, strides: 2, padding: "same", batchNormEpsilon })
    : undefined;
  x = relu(x, `${halving}_sepconv1_act`);
  x = sepConvBn(x, { filters: width(728), name: `${halving}_sepconv1`, ...inside });
  x = relu(x, `${halving}_sepconv2_act`);
  x = sepConvBn(x, { filters: width(1024), name: `${halving}_sepconv2`, ...inside });
  x = maxPooling2d(x, { ...pooling, name: `${halving}_pool` });
  if (shortcut) x = add([x, shortcut]);

  x = sepConvBn(x, { filters: width(1536), name: `${last}_sepconv1`, ...inside });
  x = relu(x, `${last}_sepconv1_act`);
  x = sepConvBn(x, { filters: width(2048), name: `${last}_sepconv2`, ...inside });
  return relu(x, `${last}_sepconv2_act`);
}

/**
 * The Xception network: 22,855,952 trainable parameters with its defaults.
 * @throws {UsageError} an option is invalid; the message names it.
 * @see https://arxiv.org/abs/1610.02357, figure 5; keras.applications.Xception has the same layers, names and weights.
 * @example
 * const net = xception({ classes: 10, inputShape: [150, 150, 3] });
 */
export function xception(options: XceptionOptions = {}): Network {
  const complete = checkedOptions(xceptionOptions, options);
  const { variant, middleFlowRepeats: repeats, residual, batchNormEpsilon, poolPadding } = complete;
  const intermediateActivation = activationOf(complete.intermediateActivation);
  const segments = complete.segments === "all" ? undefined : Number(complete.segments);
  const flow = {
    width: scaling(complete.width),
    residual,
    intermediateActivation,
    segments,
    batchNormEpsilon,
    poolPadding,
  };

  let x = input(complete.inputShape);
  if (variant === "tutorial") {
    x = tutorialEntryFlow(x, flow);
    x = tutorialMiddleFlow(x, { ...flow, repeats });
    x = tutorialExitFlow(x, flow);
    return network("xception_tutorial", top(x, complete), complete.seed);
  }
  x = entryFlow(x, flow);
  x = middleFlow(x, { ...flow, repeats });
  x = exitFlow(x, { ...flow, firstBlock: 5 + repeats });
  return network("xception", top(x, complete, kerasTopNames), complete.seed);
}

/** keras.applications.Xception has Activation layers, not ReLU layers. */
function relu(x: LayerOutput, name: string): LayerOutput {
  return activation(x, "relu", { name });
}
