import fc from "fast-check";
import { XceptionError } from "../../src/base/errors.ts";
import type { ClassProbability } from "../../src/base/records.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { smallModel } from "../model/small-model.ts";

export interface SoakOptions {
  readonly calls: number;
  readonly loads: number;
  readonly hostile: number;
  readonly onRound?: (line: string) => void;
}

const rounds = 40;

/**
 * Spreads the work over rounds. Counts the answers that are equal to the first one and the hostile files that were rejected
 * with an error of this package, and measures the memory after each round.
 */
export async function soak({ calls, loads, hostile, onRound }: SoakOptions) {
  const model = encodeModel(smallModel({ inputShape: [71, 71, 3], width: 0.02, middleFlowRepeats: 0 }));
  const image = { width: 71, height: 71, data: Uint8Array.from({ length: 71 * 71 * 3 }, (_, at) => at % 251) };
  const png = await platform.images.encodePng(image);
  const classifier = await loadClassifier(model, { platform });
  const expected = JSON.stringify(await classifier.classify(image));
  const isExpected = (predictions: readonly ClassProbability[]) => Number(JSON.stringify(predictions) === expected);
  const memoryMib: number[] = [];
  let [answers, rejected] = [0, 0];

  for (let round = 0; round < rounds; round++) {
    const share = (count: number) => Math.floor((count * (round + 1)) / rounds) - Math.floor((count * round) / rounds);
    const first = Math.floor((hostile * round) / rounds);
    for (let index = 0; index < share(calls); index++) {
      // Decoding is part of every tenth call.
      answers += isExpected(await classifier.classify(index % 10 === 0 ? png : image));
    }
    for (let index = 0; index < share(loads); index++) {
      const other = await loadClassifier(model, { platform });
      answers += isExpected(await other.classify(image));
      await other.dispose();
    }
    for (let index = 0; index < share(hostile); index++) {
      rejected += Number(await isRejected(first + index, model, png, (bytes) => classifier.classify(bytes)));
    }
    (globalThis as { gc?: () => void }).gc?.();
    memoryMib.push(process.memoryUsage.rss() / 2 ** 20);
    onRound?.(
      `round ${round + 1} of ${rounds}: ${answers} answers, ${rejected} rejected, ${memoryMib.at(-1)!.toFixed(0)} MiB`,
    );
  }
  await classifier.dispose();
  return { answers, rejected, memoryMib };
}

/** Opens a truncated or otherwise damaged model or image. */
async function isRejected(
  seed: number,
  model: Uint8Array,
  png: Uint8Array,
  classify: (image: Uint8Array) => Promise<unknown>,
): Promise<boolean> {
  const isModel = seed % 2 === 0;
  const [bytes] = fc.sample(damage(isModel ? model : png), { seed, numRuns: 1 }) as [Uint8Array];
  try {
    if (isModel) await (await loadClassifier(bytes, { platform })).dispose();
    else await classify(bytes);
    return false;
  } catch (error) {
    if (error instanceof XceptionError) return true;
    throw error;
  }
}

/** Cut short, or random after the first bytes. */
function damage(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const cut = fc.integer({ min: 0, max: bytes.length - 20 }).map((length) => bytes.slice(0, length));
  const random = fc
    .uint8Array({ minLength: 50, maxLength: 500 })
    .map((rest) => Buffer.concat([bytes.subarray(0, 12), rest]));
  return fc.oneof(cut, random);
}
