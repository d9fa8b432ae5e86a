import { UsageError } from "../base/errors.ts";
import type { Evaluation } from "../base/records.ts";
import { type Layer, type Network, outputActivation, outputLayer } from "../graph/network.ts";
import type { Weights } from "../graph/weights.ts";
import { floatTensor } from "../tensor/tensor.ts";

/**
 * Divides a network's logits by a temperature: the classifier's kernel and bias, so that the probabilities are calibrated
 * in every format and for every tool. The ranking of the classes stays the same.
 * @returns the changed weights; the given ones are not written to.
 * @throws as {@link assertCalibratable}.
 * @see https://arxiv.org/abs/1706.04599, section 4.2
 */
export function withTemperature(network: Network, weights: Weights, temperature: number): Weights {
  const { weights: specs } = classifierOf(network)!;
  const scaled = specs.map(({ name }) => {
    const { shape, data } = weights.get(name)!;
    return [
      name,
      floatTensor(
        shape,
        data.map((value) => value / temperature),
      ),
    ] as const;
  });
  return new Map([...weights, ...scaled]);
}

/** @throws {UsageError} the network does not end in a dense layer with a softmax. */
export function assertCalibratable(where: string, network: Network): void {
  if (classifierOf(network) !== undefined) return;
  throw new UsageError({
    where,
    what: `network "${network.name}" cannot be calibrated`,
    received: `${outputLayer(network).config.type} with ${outputActivation(network)}`,
    expected: "a dense layer with a softmax at its end",
  });
}

/** The dense layer whose outputs go into the softmax. */
function classifierOf(network: Network): Layer | undefined {
  if (outputActivation(network) !== "softmax") return undefined;
  const last = outputLayer(network);
  if (last.config.type === "Dense") return last;
  const before = network.layers.find(({ name }) => name === last.inbound[0]);
  return before?.config.type === "Dense" && before.config.activation === "linear" ? before : undefined;
}

/** A model with calibrated probabilities, as recorded in its file. */
export interface CalibratedModel {
  readonly temperature: number;
  /** Number of images it was fitted on. */
  readonly images: number;
  /** Expected calibration error on them before and after, 0 to 1. */
  readonly errorBefore: number;
  readonly errorAfter: number;
}

/** The temperature fitted by an evaluation, and its effect; undefined if none was. */
export function calibrationOf({ images, calibration }: Evaluation): CalibratedModel | undefined {
  if (calibration?.temperature === undefined) return undefined;
  const { temperature, expectedCalibrationError: errorAfter } = calibration.temperature;
  return { temperature, images, errorBefore: calibration.expectedCalibrationError, errorAfter };
}
