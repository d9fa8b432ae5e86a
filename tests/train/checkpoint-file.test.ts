import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sha256 } from "../../src/base/checksums.ts";
import { FormatError, TrainingError } from "../../src/base/errors.ts";
import { averageScores } from "../../src/learning/class-scores.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import type { BestWeights, Checkpoint } from "../../src/train/checkpoint.ts";
import {
  checkpointVersion,
  decodeBest,
  decodeCheckpoint,
  encodeBest,
  encodeCheckpoint,
} from "../../src/train/checkpoint-file.ts";

const best: BestWeights = {
  weights: new Map([["dense/kernel", floatTensor([2, 1], Float32Array.of(0.1, -0))]]),
  epoch: 2,
  steps: 9,
  test: {
    evaluation: {
      images: 1,
      top1: 1,
      top5: 1,
      loss: 0.1 + 0.2,
      averages: averageScores([]),
      perClass: [],
      confusion: [[1]],
    },
    predictions: [
      {
        file: "a/ü.png",
        truth: "a",
        predicted: "a",
        probability: Math.fround(0.9),
        truthProbability: 0.9,
        truthRank: 1,
      },
    ],
    skipped: [{ file: 'quoted "sha256":"', reason: "damaged" }],
  },
};

const checkpoint: Checkpoint = {
  identity: { batchSize: 8, classes: ["a", "b"] },
  phase: "network",
  isOver: false,
  epoch: {
    index: 2,
    position: 16,
    stepsBefore: 9,
    stepsPerEpoch: 4,
    learningRate: 1e-3,
    tally: { steps: 2, loss: 1 / 3, images: 16, right: 5 },
    pace: { steps: 2, secondsOfSteps: 0.5, seconds: 0.75 },
  },
  state: {
    tensors: new Map([
      ["conv/kernel", floatTensor([1, 3], Float32Array.of(Math.PI, 1e-45, -3e38))],
      ["conv/kernel#momentum", floatTensor([1, 3], Float32Array.of(-0, 1, 2))],
    ]),
    steps: 11,
  },
  history: [{ epoch: 1, loss: 0.1, accuracy: 0.5, learningRate: 0.01, imagesPerSecond: 7, seconds: 1.5 }],
  best,
  skipped: [{ file: "a/1.png", reason: 'image "a/1.png": it is empty.' }],
  validationSkipped: [],
};

describe("a checkpoint's file", () => {
  it("gives back what was put in, to the last bit", async () => {
    const extra = { flags: { output: '"sha256":"' }, note: ["ü", null, 1.5] };
    const { best: _, ...rest } = checkpoint;
    const stored = await decodeCheckpoint(await encodeCheckpoint(checkpoint, extra), "file");
    expect(stored).toEqual({ checkpoint: rest, bestEpoch: 2, extra });
    expect(Object.is(stored.checkpoint.state.tensors.get("conv/kernel#momentum")!.data[0], -0)).toBe(true);
    expect(await decodeBest(await encodeBest(best), "file")).toEqual(best);
    const first = await decodeCheckpoint(await encodeCheckpoint({ ...rest, best: undefined }), "file");
    expect(first).toEqual({ checkpoint: rest, bestEpoch: undefined, extra: null });
  });

  it("says so where it is damaged anywhere, and does nothing else", async () => {
    const bytes = await encodeCheckpoint(checkpoint);
    const change = fc.record({ at: fc.nat(bytes.length - 1), to: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), fc.nat(bytes.length), async (changes, cut) => {
        const damaged = bytes.slice();
        for (const { at, to } of changes) damaged[at] = damaged[at]! ^ to;
        if (Buffer.compare(damaged, bytes) !== 0) {
          await expect(decodeCheckpoint(damaged, "file")).rejects.toThrow(FormatError);
        }
        if (cut < bytes.length) {
          await expect(decodeCheckpoint(bytes.subarray(0, cut), "file")).rejects.toThrow(FormatError);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("has a checksum that anybody can check: of the file with zeros in its place", async () => {
    const bytes = await encodeCheckpoint(checkpoint);
    const text = Buffer.from(bytes).toString("latin1");
    const [, checksum] = /"sha256":"([0-9a-f]{64})"/.exec(text)!;
    expect(await sha256(Buffer.from(text.replace(checksum!, "0".repeat(64)), "latin1"))).toBe(checksum);
    const at = bytes.length - 1;
    bytes[at] = bytes[at]! ^ 1;
    await expect(decodeCheckpoint(bytes, 'file "x"')).rejects.toThrow(
      /^file "x": the file is damaged: its checksum is wrong; received "[0-9a-f]{64}"; expected [0-9a-f]{64}\.$/,
    );
  });

  it("is refused where it is something else, or of a later version", async () => {
    await expect(decodeCheckpoint(await encodeBest(best), "file")).rejects.toThrow(
      'file: this is another kind of file; received "xception-ts best weights"; expected "xception-ts checkpoint".',
    );
    const text = Buffer.from(await encodeBest(best)).toString("latin1");
    const later = text
      .replace(`\\"formatVersion\\":${checkpointVersion}`, `\\"formatVersion\\":${checkpointVersion + 1}`)
      .replace(/"sha256":"[0-9a-f]{64}"/, `"sha256":"${"0".repeat(64)}"`);
    const checksum = await sha256(Buffer.from(later, "latin1"));
    const bytes = Buffer.from(later.replace(`"sha256":"${"0".repeat(64)}"`, `"sha256":"${checksum}"`), "latin1");
    const refusal = decodeBest(new Uint8Array(bytes), "file");
    await expect(refusal).rejects.toThrow(TrainingError);
    await expect(refusal).rejects.toThrow(
      'file: a later version of xception-ts wrote this checkpoint; received "format 2"; expected format 1. Update xception-ts.',
    );
  });
});
