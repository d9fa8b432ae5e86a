import { add, type LayerOutput, maxPooling2d, relu } from "../../graph/builder.ts";
import { convBn, sepConvBn } from "../blocks.ts";
import { completeFlow, type FlowOptions } from "./options.ts";

/**
 * Entry flow as the article lists it. Unlike the paper's, every padding is `same`, and the shortcut is a chain of 1×1
 * convolutions on the previous shortcut, not on the sum.
 */
export function tutorialEntryFlow(x: LayerOutput, options: FlowOptions = {}): LayerOutput {
  const { width, residual, pooling, inside, batchNormEpsilon } = completeFlow(options);

  x = convBn(x, { filters: width(32), kernelSize: 3, strides: 2, padding: "same", batchNormEpsilon });
  x = relu(x);
  x = convBn(x, { filters: width(64), kernelSize: 3, padding: "same", batchNormEpsilon });
  x = relu(x);

  let shortcut = x;
  for (const [block, filters] of [width(128), width(256), width(728)].entries()) {
    if (block > 0) x = relu(x);
    x = sepConvBn(x, { filters, ...inside });
    x = relu(x);
    x = sepConvBn(x, { filters, ...inside });
    x = maxPooling2d(x, pooling);

    if (!residual) continue;
    shortcut = convBn(shortcut, { filters, kernelSize: 1, strides: 2, padding: "same", batchNormEpsilon });
    x = add([shortcut, x]);
  }
  return x;
}

/** Middle flow as the article lists it: with a third ReLU before the sum. */
export function tutorialMiddleFlow(
  x: LayerOutput,
  { repeats = 8, ...options }: FlowOptions & { readonly repeats?: number } = {},
): LayerOutput {
  const { width, residual, inside } = completeFlow(options);

  for (let block = 0; block < repeats; block++) {
    const shortcut = x;
    x = relu(x);
    for (let step = 0; step < 3; step++) {
      x = sepConvBn(x, { filters: width(728), ...inside });
      x = relu(x);
    }
    if (residual) x = add([shortcut, x]);
  }
  return x;
}

/** Exit flow as the article lists it: no ReLU after the last two separable convolutions. */
export function tutorialExitFlow(x: LayerOutput, options: FlowOptions = {}): LayerOutput {
  const { width, residual, pooling, inside, batchNormEpsilon } = completeFlow(options);

  const block = x;
  x = relu(x);
  x = sepConvBn(x, { filters: width(728), ...inside });
  x = relu(x);
  x = sepConvBn(x, { filters: width(1024), ...inside });
  x = maxPooling2d(x, pooling);
  if (residual) {
    const filters = width(1024);
    const shortcut = convBn(block, { filters, kernelSize: 1, strides: 2, padding: "same", batchNormEpsilon });
    x = add([shortcut, x]);
  }
  x = sepConvBn(x, { filters: width(1536), ...inside });
  return sepConvBn(x, { filters: width(2048), ...inside });
}
