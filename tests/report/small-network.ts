import {
  add,
  batchNormalization,
  conv2d,
  dense,
  globalAveragePooling2d,
  input,
  maxPooling2d,
  relu,
  separableConv2d,
} from "../../src/graph/builder.ts";
import { type Network, network } from "../../src/graph/network.ts";

/** A residual block in small, with names of the author's and automatic ones, on images that are not square. */
export function smallNetwork(): Network {
  let x = input([9, 12, 3]);
  x = conv2d(x, { filters: 8, kernelSize: 3, padding: "same", useBias: false, name: "stem" });
  const shortcut = conv2d(x, { filters: 16, kernelSize: 1, strides: 2, padding: "same" });
  x = separableConv2d(x, { filters: 16, kernelSize: 3, padding: "same", useBias: false, name: "block1_sepconv1" });
  x = batchNormalization(x, { name: "block1_sepconv1_bn" });
  x = maxPooling2d(x, { kernelSize: 3, strides: 2, padding: "same", name: "block1_pool" });
  x = relu(add([x, shortcut]));
  return network("small", dense(globalAveragePooling2d(x), { units: 5, activation: "softmax", name: "predictions" }));
}
