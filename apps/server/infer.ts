import { FormatError } from "../../src/base/errors.ts";
import { wholeNumber } from "../../src/base/kinds.ts";
import type { ImageSource } from "../../src/base/platform.ts";
import type { InferParameters, ModelConfig, ModelMetadataResponse } from "../../src/client/protocol.ts";
import { imageInput } from "../../src/compiler/lower.ts";
import type { ServedModel } from "./served-model.ts";
import { type Elements, type InputType, inputTypes } from "./tensors.ts";

/** An input of an inference; its data are read when its type and shape are known to be right. */
export interface GivenInput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly read: (type: InputType, where: string) => Elements;
}

/** An output to return. */
export interface WantedOutput {
  readonly name: string;
  readonly parameters?: InferParameters | undefined;
}

/** An inference, whatever protocol it came by. */
export interface Inference {
  readonly inputs: readonly GivenInput[];
  readonly outputs?: readonly WantedOutput[] | undefined;
  readonly parameters?: InferParameters | undefined;
  readonly signal: AbortSignal;
}

/** An output: probabilities, or classes in the classification extension's form, `value:index:label`. */
export interface InferredOutput {
  readonly name: string;
  readonly datatype: "FP32" | "BYTES";
  readonly shape: readonly number[];
  readonly values: Float32Array | readonly string[];
  readonly wanted: WantedOutput;
}

/** Describes a model in the Open Inference Protocol. */
export function modelMetadata({ file: { name, version }, classifier }: ServedModel): ModelMetadataResponse {
  return {
    name,
    versions: [version],
    platform: "onnxruntime_onnx",
    inputs: [{ name: imageInput, datatype: "UINT8", shape: [-1, -1, -1, 3] }],
    outputs: [{ name: classifier.output, datatype: "FP32", shape: [-1, classifier.labels.length] }],
  };
}

/**
 * Describes a model in the form of Triton's model configuration.
 * @see Triton's `model_config.proto`
 */
export function modelConfig({ file: { name }, classifier, settings }: ServedModel): ModelConfig {
  const { priorityLevels } = settings;
  return {
    name,
    platform: "onnxruntime_onnx",
    backend: "onnxruntime",
    max_batch_size: settings.maxBatchSize,
    input: [{ name: imageInput, data_type: "TYPE_UINT8", format: "FORMAT_NHWC", dims: [-1, -1, 3] }],
    output: [{ name: classifier.output, data_type: "TYPE_FP32", dims: [classifier.labels.length] }],
    instance_group: [{ count: settings.instanceCount }],
    dynamic_batching: {
      preferred_batch_size: settings.preferredBatchSize,
      max_queue_delay_microseconds: settings.maxQueueDelayMicroseconds,
      priority_levels: priorityLevels,
      default_priority_level: priorityLevels,
      default_queue_policy: {
        timeout_action: "REJECT",
        default_timeout_microseconds: settings.defaultTimeoutMicroseconds,
        allow_timeout_override: true,
        max_queue_size: settings.maxQueueSize,
      },
    },
  };
}

/** @throws {FormatError} the data of an input or output are to be in shared memory. */
export function assertNoSharedMemory(where: string, parameters: InferParameters | undefined): void {
  if (parameters?.shared_memory_region === undefined) return;
  const expected = "data in the request and in the reply";
  throw new FormatError({ where, what: "shared memory is not supported", expected });
}

/**
 * Runs an inference: `images`, as pixels `[N, H, W, 3]` of any size or encoded, `[N]` → probabilities `[N, classes]`.
 * @throws {FormatError} an input or output is not the model's, or an image is damaged.
 * @throws as {@link ServedModel.run}.
 */
export async function infer(model: ServedModel, { inputs, outputs, parameters, signal }: Inference) {
  const wanted = wantedOutputs(model, outputs);
  const images = imagesIn(model, inputs);
  const timeoutMicroseconds = countIn(parameters, "timeout");
  const priority = countIn(parameters, "priority");
  const { results } = await model.run(images, {
    signal,
    // 0 stands for the default, as in Triton.
    ...(timeoutMicroseconds && { timeoutMicroseconds }),
    ...(priority && { priority }),
  });
  return wanted.map(({ output, classes }): InferredOutput => {
    const { name } = output;
    const { length } = model.classifier.labels;
    if (classes === undefined) {
      const values = new Float32Array(results.length * length);
      for (const [row, probabilities] of results.entries()) values.set(probabilities, row * length);
      return { name, datatype: "FP32", shape: [results.length, length], values, wanted: output };
    }
    const top = results.map((probabilities) => model.classifier.rank(probabilities, classes));
    const values = top.flat().map(({ probability, index, label }) => `${probability}:${index}:${label}`);
    return { name, datatype: "BYTES", shape: [results.length, Math.min(classes, length)], values, wanted: output };
  });
}

function wantedOutputs({ classifier }: ServedModel, outputs: readonly WantedOutput[] | undefined) {
  const own = classifier.output;
  const chosen: readonly WantedOutput[] = outputs === undefined || outputs.length === 0 ? [{ name: own }] : outputs;
  for (const [index, { name, parameters }] of chosen.entries()) {
    assertNoSharedMemory(`output "${name}"`, parameters);
    const isTwice = index > 0 && name === own;
    if (name === own && !isTwice) continue;
    const what = isTwice ? "it is requested twice" : "the model has no such output";
    throw new FormatError({ where: `output "${name}"`, what, expected: `"${own}", once` });
  }
  return chosen.map((output) => ({ output, classes: countIn(output.parameters, "classification") }));
}

function imagesIn({ file }: ServedModel, inputs: readonly GivenInput[]): readonly ImageSource[] {
  const [given] = inputs;
  if (given === undefined || inputs.length > 1 || given.name !== imageInput) {
    throw new FormatError({
      where: `model "${file.name}"`,
      what: "these are not its inputs",
      received: inputs.map(({ name }) => name),
      expected: `["${imageInput}"]`,
    });
  }
  const { datatype, shape } = given;
  const where = `input "${imageInput}"`;
  const type = inputTypes.find((each) => each === datatype);
  if (type === undefined) {
    const expected = inputTypes.join(", ");
    throw new FormatError({ where, what: "its datatype is not supported", received: datatype, expected });
  }
  const isEncoded = type === "BYTES";
  const isShape = isEncoded
    ? shape.length === 1 || (shape.length === 2 && shape[1] === 1)
    : shape.length === 4 && shape[3] === 3;
  if (!isShape || !shape.every((axis) => Number.isSafeInteger(axis) && axis > 0)) {
    const expected = isEncoded ? "[N]: one encoded image each" : "[N, height, width, 3]";
    throw new FormatError({ where, what: "its shape is not supported", received: shape, expected });
  }
  const elements = given.read(type, where);
  if (!(elements instanceof Uint8Array)) return elements;
  const [count, height, width] = shape as [number, number, number];
  const size = 3 * height * width;
  return Array.from({ length: count }, (_, row) => ({
    width,
    height,
    data: elements.subarray(row * size, (row + 1) * size),
  }));
}

/** A count among parameters; 0 and above. */
function countIn(parameters: InferParameters | undefined, name: string): number | undefined {
  const value = parameters?.[name];
  const kind = wholeNumber({ from: 0 });
  if (value === undefined || kind.accept(value) !== undefined) return value as number | undefined;
  throw new FormatError({
    where: `parameter "${name}"`,
    what: "this value is not allowed",
    received: value,
    expected: kind.expected,
  });
}
