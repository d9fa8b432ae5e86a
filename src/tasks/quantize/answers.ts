import type { Platform, SessionOptions } from "../../base/platform.ts";
import { accuracyInterval, mcNemarTest } from "../../base/significance.ts";
import { topIndices } from "../../learning/ranking.ts";
import { Predictor } from "../../model/predictor.ts";
import type { AccuracyChange, AnswerChange } from "../../report/quantization.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import type { ComputedModel, QuantizationImage } from "./calibration.ts";

/** The probabilities of a model by the index of the image; unreadable images have none. */
export type Answers = ReadonlyMap<number, Float32Array>;

/** Options of {@link answersOf}. */
export interface AnswerOptions {
  readonly platform: Platform;
  readonly session?: SessionOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each batch. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** Runs a compiled graph of a model's network on images. */
export async function answersOf(
  model: ComputedModel,
  compiled: Uint8Array,
  images: readonly QuantizationImage[],
  { platform, session, signal, onProgress }: AnswerOptions,
): Promise<Answers> {
  const load = () => platform.engine.createSession(compiled, { device: "cpu", signal, ...session });
  const predictor = new Predictor(model, platform, load);
  const answers = new Map<number, Float32Array>();
  let done = 0;
  try {
    const sources = images.map(({ image }) => image);
    for await (const { outputs, indices, errors } of predictor.predictBatches(sources, { signal })) {
      const { data } = (outputs[model.network.output] as FloatTensor | undefined) ?? { data: new Float32Array() };
      const classes = data.length / Math.max(indices.length, 1);
      for (const [row, index] of indices.entries()) answers.set(index, data.slice(row * classes, (row + 1) * classes));
      done += indices.length + errors.length;
      onProgress?.(done);
    }
  } finally {
    await predictor.dispose();
  }
  return answers;
}

/** The most probable class; of a single one, whether it is more probable than not. */
function classOf(probabilities: Float32Array): number | undefined {
  if (probabilities.length > 1) return topIndices(probabilities, 1)[0];
  return probabilities[0]! >= 0.5 ? 0 : undefined;
}

/** Compares answers to the same images. */
export function compareAnswers(before: Answers, after: Answers, images: readonly QuantizationImage[]): AnswerChange {
  const both = [...before.keys()].filter((index) => after.has(index));
  const best = (answers: Answers, index: number) => classOf(answers.get(index)!);
  const same = both.filter((index) => best(before, index) === best(after, index)).length;
  const differences = both.map((index) => {
    const now = after.get(index)!;
    return before.get(index)!.reduce((largest, value, each) => Math.max(largest, Math.abs(value - now[each]!)), 0);
  });
  const agreement = same / Math.max(both.length, 1);
  const labeled = both.filter((index) => images[index]!.label !== undefined);
  return {
    images: both.length,
    agreement,
    agreementInterval: accuracyInterval(agreement, both.length),
    meanDifference: differences.reduce((sum, each) => sum + each, 0) / Math.max(both.length, 1),
    ...(labeled.length > 0 && { accuracy: accuracyChange() }),
  };

  function accuracyChange(): AccuracyChange {
    const rights = [before, after].map((answers) => {
      return labeled.map((index) => best(answers, index) === images[index]!.label);
    }) as [boolean[], boolean[]];
    const [first, second] = rights.map((right) => right.filter(Boolean).length / labeled.length) as [number, number];
    const { onlyFirst, onlySecond, pValue } = mcNemarTest(...rights);
    return {
      ...{ images: labeled.length, before: first, after: second },
      afterInterval: accuracyInterval(second, labeled.length),
      ...{ onlyBefore: onlyFirst, onlyAfter: onlySecond, pValue },
    };
  }
}
