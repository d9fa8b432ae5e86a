import type { ImageDataset, Sample } from "../../src/data/dataset.ts";
import {
  dense,
  dropout,
  globalAveragePooling2d,
  input,
  type LayerOutput,
  maxPooling2d,
  relu,
} from "../../src/graph/builder.ts";
import type { ActivationName } from "../../src/graph/layers.ts";
import { type Network, network } from "../../src/graph/network.ts";
import { convBn, sepConvBn } from "../../src/models/blocks.ts";
import { mulberry32 } from "../../src/tensor/random.ts";

/** Width and height of the images below. */
export const imageSize = 12;

export const labels = ["red", "green", "blue"];

/** A network of the family's parts, small enough to train in a blink. */
export function smallNetwork(
  options: {
    readonly dropout?: number;
    readonly activation?: ActivationName;
    readonly classes?: number;
    /** Units of a fully connected layer before the classifier; default none. */
    readonly hidden?: number;
    /** With a max pooling as Xception's; default false. */
    readonly pooled?: boolean;
  } = {},
): Network {
  const { dropout: rate = 0, activation = "softmax", classes = labels.length, hidden, pooled } = options;
  let x: LayerOutput = input([imageSize, imageSize, 3]);
  x = relu(convBn(x, { filters: 8, kernelSize: 3, strides: 2, padding: "same", name: "conv" }));
  x = relu(sepConvBn(x, { filters: 16, name: "sepconv" }));
  if (pooled) x = maxPooling2d(x, { kernelSize: 3, strides: 2, padding: "same" });
  x = globalAveragePooling2d(x);
  if (hidden !== undefined) x = relu(dense(x, { units: hidden, name: "hidden" }));
  if (rate > 0) x = dropout(x, rate);
  return network("small", dense(x, { units: classes, activation, name: "predictions" }));
}

/** Noise in which one color is stronger: its class. The classes take turns. */
export function coloredImages(count: number, seed: number): ImageDataset {
  const random = mulberry32(seed);
  const samples = Array.from({ length: count }, (_, index): Sample => {
    const label = index % labels.length;
    const data = Uint8Array.from({ length: imageSize * imageSize * 3 }, (_, at) =>
      at % 3 === label ? 80 + 170 * random() : 200 * random(),
    );
    return { image: { width: imageSize, height: imageSize, data }, label, name: `${labels[label]}/${index}` };
  });
  return { classes: labels, samples };
}
