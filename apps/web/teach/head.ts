import { type Network, outputLayer } from "../../../src/graph/network.ts";
import { mulberry32, shuffledIndices } from "../../../src/tensor/random.ts";

/** Embeddings of labeled images. */
export interface HeadData {
  /** `[images, channels]` */
  readonly embeddings: Float32Array;
  readonly channels: number;
  /** Class of each image. */
  readonly labels: Uint16Array;
  readonly classes: number;
  /** 1 for images that are held out, to measure the accuracy on. */
  readonly heldOut: Uint8Array;
}

/** Loss and accuracy after an epoch; those of held-out images are NaN if there are none. */
export interface HeadEpoch {
  readonly loss: number;
  readonly accuracy: number;
  readonly heldOutLoss: number;
  readonly heldOutAccuracy: number;
}

/** A classifier on embeddings. */
export interface Head {
  /** `[channels, classes]` */
  readonly kernel: Float32Array;
  /** `[classes]` */
  readonly bias: Float32Array;
  readonly history: readonly HeadEpoch[];
  /** Of all images, `[images, classes]`. */
  readonly probabilities: Float32Array;
}

/**
 * Adam's usual settings. The smoothing of labels keeps the classifier from being sure of what a few images show; the first
 * steps change a score by about one, whatever the number of channels.
 */
const settings = {
  ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  ...{ scoreRate: 1, decay: 0.02, smoothing: 0.1, batch: 64, epochs: 60 },
} as const;

/** Most multiplications of a fit; with more images or classes there are fewer epochs. */
const work = 3e10;

/**
 * Fits a softmax classifier to embeddings by mini-batches with Adam. Channels are standardized first, which the kernel then
 * undoes, so the result applies to embeddings as they are. The same data gives the same result.
 * @param onEpoch called after each epoch.
 */
export function fitHead(data: HeadData, onEpoch?: (epoch: HeadEpoch, share: number) => void): Head {
  const { channels, classes, labels, heldOut } = data;
  const training = Uint32Array.from([...labels.keys()].filter((image) => heldOut[image] === 0));
  const { values, mean, scale } = standardized(data, training);
  const kernel = new Float32Array(channels * classes);
  const bias = new Float32Array(classes);
  const update = adam(kernel, bias);
  const perEpoch = 6 * labels.length * channels * classes;
  const epochs = Math.max(5, Math.min(settings.epochs, Math.floor(work / perEpoch)));
  const random = mulberry32(0);
  const history: HeadEpoch[] = [];
  let probabilities = new Float32Array(0);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = shuffledIndices(training.length, random);
    const rate = (settings.scoreRate / channels) * 0.5 * (1 + Math.cos((Math.PI * epoch) / epochs));
    for (let from = 0; from < order.length; from += settings.batch) {
      const rows = order.subarray(from, from + settings.batch).map((index) => training[index]!);
      update(gradients(values, channels, labels, rows, kernel, bias), rate);
    }
    probabilities = allProbabilities(values, channels, kernel, bias);
    history.push(scores(probabilities, data));
    onEpoch?.(history.at(-1)!, (epoch + 1) / epochs);
  }
  for (let channel = 0; channel < channels; channel++) {
    for (let each = 0; each < classes; each++) {
      const place = channel * classes + each;
      kernel[place]! /= scale[channel]!;
      bias[each]! -= mean[channel]! * kernel[place]!;
    }
  }
  return { kernel, bias, history, probabilities };
}

/** Shifts and scales each channel to mean 0 and variance 1 over the training images. */
function standardized({ embeddings, channels }: HeadData, training: Uint32Array) {
  const [mean, scale] = [new Float32Array(channels), new Float32Array(channels)];
  const average = (of: (value: number, channel: number) => number, into: Float32Array) => {
    for (const image of training) {
      for (let channel = 0; channel < channels; channel++) {
        into[channel]! += of(embeddings[image * channels + channel]!, channel) / training.length;
      }
    }
  };
  average((value) => value, mean);
  average((value, channel) => (value - mean[channel]!) ** 2, scale);
  for (let channel = 0; channel < channels; channel++) scale[channel] = Math.sqrt(scale[channel]!) + 1e-3;
  const values = embeddings.map((value, index) => (value - mean[index % channels]!) / scale[index % channels]!);
  return { values, mean, scale };
}

interface Gradients {
  readonly kernel: Float32Array;
  readonly bias: Float32Array;
}

/** Gradients of the mean cross-entropy of some rows. */
function gradients(
  values: Float32Array,
  channels: number,
  labels: Uint16Array,
  rows: Uint32Array,
  kernel: Float32Array,
  bias: Float32Array,
): Gradients {
  const classes = bias.length;
  const result = { kernel: new Float32Array(kernel.length), bias: new Float32Array(classes) };
  for (const row of rows) {
    const errors = probabilitiesOf(values, row * channels, channels, kernel, bias);
    errors[labels[row]!]! -= 1 - settings.smoothing;
    for (let each = 0; each < classes; each++) errors[each]! -= settings.smoothing / classes;
    for (let each = 0; each < classes; each++) result.bias[each]! += errors[each]! / rows.length;
    for (let channel = 0; channel < channels; channel++) {
      const value = values[row * channels + channel]! / rows.length;
      for (let each = 0; each < classes; each++) result.kernel[channel * classes + each]! += value * errors[each]!;
    }
  }
  return result;
}

function probabilitiesOf(
  values: Float32Array,
  start: number,
  channels: number,
  kernel: Float32Array,
  bias: Float32Array,
): Float32Array {
  const classes = bias.length;
  const scores = bias.slice();
  for (let channel = 0; channel < channels; channel++) {
    const value = values[start + channel]!;
    for (let each = 0; each < classes; each++) scores[each]! += value * kernel[channel * classes + each]!;
  }
  const highest = scores.reduce((a, b) => Math.max(a, b));
  let sum = 0;
  for (let each = 0; each < classes; each++) {
    scores[each] = Math.exp(scores[each]! - highest);
    sum += scores[each]!;
  }
  return scores.map((value) => value / sum);
}

function allProbabilities(values: Float32Array, channels: number, kernel: Float32Array, bias: Float32Array) {
  const images = values.length / channels;
  const result = new Float32Array(images * bias.length);
  for (let image = 0; image < images; image++) {
    result.set(probabilitiesOf(values, image * channels, channels, kernel, bias), image * bias.length);
  }
  return result;
}

/** Adam with decoupled weight decay of the kernel. */
function adam(kernel: Float32Array, bias: Float32Array): (by: Gradients, rate: number) => void {
  const { beta1, beta2, epsilon, decay } = settings;
  const slots = [kernel, bias].map((of) => [new Float32Array(of.length), new Float32Array(of.length)] as const);
  let step = 0;
  return (by, rate) => {
    step += 1;
    const correction = Math.sqrt(1 - beta2 ** step) / (1 - beta1 ** step);
    for (const [index, [weights, gradient]] of (
      [
        [kernel, by.kernel],
        [bias, by.bias],
      ] as const
    ).entries()) {
      const [first, second] = slots[index]!;
      const shrink = weights === kernel ? 1 - rate * decay : 1;
      for (let place = 0; place < weights.length; place++) {
        const slope = gradient[place]!;
        first[place] = beta1 * first[place]! + (1 - beta1) * slope;
        second[place] = beta2 * second[place]! + (1 - beta2) * slope * slope;
        const change = (rate * correction * first[place]!) / (Math.sqrt(second[place]!) + epsilon);
        weights[place] = shrink * weights[place]! - change;
      }
    }
  };
}

/** Loss and accuracy of training and of held-out images. */
function scores(probabilities: Float32Array, { labels, classes, heldOut }: HeadData): HeadEpoch {
  const tallies = [0, 1].map((part) => {
    let [count, loss, right] = [0, 0, 0];
    for (const [image, label] of labels.entries()) {
      if (heldOut[image] !== part) continue;
      const own = probabilities.subarray(image * classes, (image + 1) * classes);
      count += 1;
      loss -= Math.log(Math.max(1e-12, own[label]!));
      if (own.every((value) => value <= own[label]!)) right += 1;
    }
    return { loss: loss / count, accuracy: right / count };
  });
  const [training, held] = tallies as [(typeof tallies)[0], (typeof tallies)[0]];
  return { ...training, heldOutLoss: held.loss, heldOutAccuracy: held.accuracy };
}

/** Holds out every fifth image of each class that has at least five, so that both parts have all its variety. */
export function holdOut(labels: Uint16Array): Uint8Array {
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const seen = new Map<number, number>();
  return Uint8Array.from(labels, (label) => {
    const index = seen.get(label) ?? 0;
    seen.set(label, index + 1);
    return Number(counts.get(label)! >= 5 && index % 5 === 4);
  });
}

/** Whether the classifier reads the embedding itself, so that another one can take its place. */
export function readsEmbedding(network: Network): boolean {
  let layer = outputLayer(network);
  if (layer.config.type !== "Dense") return false;
  do layer = network.layers.find(({ name }) => name === layer.inbound[0])!;
  while (layer.config.type === "Dropout");
  return layer.config.type === "GlobalAveragePooling2D";
}
