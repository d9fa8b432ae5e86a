import { describe, expect, it } from "vitest";
import { trainingDisplay } from "../../apps/cli/train/display.ts";
import { averageScores } from "../../src/learning/class-scores.ts";
import { architectureOf } from "../../src/models/registry.ts";
import type { TrainingProgress, TrainingResult } from "../../src/train/request.ts";
import { smallNetwork } from "../train/train-fixtures.ts";

function display(isTTY: boolean, secondsBetweenLines?: number) {
  const written: string[] = [];
  const io = {
    stdin: async () => new Uint8Array(),
    stdout: () => expect.fail("progress belongs on stderr"),
    stderr: (text: string) => void written.push(text),
    isTTY,
    columns: 120,
    signal: new AbortController().signal,
  };
  return { shown: trainingDisplay(io, secondsBetweenLines), written };
}

const progress: TrainingProgress = {
  epoch: 2,
  epochs: 5,
  step: 1,
  steps: 30,
  totalSteps: 31,
  stepLoss: 1.5,
  loss: 1.23456,
  accuracy: 0.5,
  learningRate: 0.01,
  imagesPerSecond: 41.7,
  secondsLeft: 75,
};

function result(validated: boolean, epoch: number): TrainingResult {
  const record = { epoch: 2, loss: 1.5, accuracy: 0.25, learningRate: 0.01, imagesPerSecond: 4.24, seconds: 90 };
  const test = { images: 4, top1: 0.75, top5: 1, loss: 0.6, averages: averageScores([]), perClass: [], confusion: [] };
  return {
    network: smallNetwork(),
    architecture: architectureOf(smallNetwork()),
    labels: ["red", "green", "blue"],
    preprocessing: { scale: 1, offset: 0, fit: "fill", background: [0, 0, 0] },
    weights: new Map(),
    epoch,
    stepsOfWeights: 60,
    history: [validated ? { ...record, validationLoss: 0.6, validationAccuracy: 0.75 } : record],
    steps: 60,
    ...(validated && { evaluation: test, predictions: [] }),
    skipped: [],
    validationSkipped: [],
    aborted: false,
  };
}

describe("into a file or pipe", () => {
  it("is a line every now and then", () => {
    const often = display(false, 0);
    often.shown.showStep(progress);
    expect(often.written).toEqual(["epoch 2/5, step 1/30: loss 1.235, accuracy 50.0 %, 42 images/s, ETA 1 min 15 s\n"]);
    const rarely = display(false);
    rarely.shown.showStep(progress);
    expect(rarely.written).toEqual([]);
  });

  it("is a line for each epoch", () => {
    const { shown, written } = display(false);
    const best = { epochs: 5, keep: "best" } as const;
    shown.showEpoch(result(true, 2), best);
    shown.showEpoch(result(true, 1), best);
    shown.showEpoch(result(false, 2), best);
    shown.showEpoch(result(true, 2), { epochs: 5, keep: "last" });
    const numbers = "validation loss 0.600, validation accuracy 75.0 %";
    expect(written).toEqual([
      `epoch 2/5: loss 1.500, accuracy 25.0 %, ${numbers}, 4.2 images/s, 1 min 30 s, best so far\n`,
      `epoch 2/5: loss 1.500, accuracy 25.0 %, ${numbers}, 4.2 images/s, 1 min 30 s\n`,
      "epoch 2/5: loss 1.500, accuracy 25.0 %, 4.2 images/s, 1 min 30 s\n",
      `epoch 2/5: loss 1.500, accuracy 25.0 %, ${numbers}, 4.2 images/s, 1 min 30 s\n`,
    ]);
  });
});

describe("on a terminal", () => {
  it("is a bar for each epoch, ended before anything else is written", () => {
    const { shown, written } = display(true);
    shown.showStep(progress);
    const cursorOn = "\u001b[?25h";
    expect(written.join("")).toContain("epoch 2/5 ");
    expect(written.join("")).not.toContain(cursorOn);
    shown.showEpoch(result(true, 2), { epochs: 5, keep: "best" });
    const text = written.join("");
    expect(text).toMatch(/1\/30, .* left, loss 1\.235, accuracy 50\.0 %, 42 images\/s, ETA 1 min 15 s/);
    expect(text.indexOf(cursorOn)).toBeGreaterThan(0);
    expect(text.indexOf("epoch 2/5: loss 1.500")).toBeGreaterThan(text.indexOf(cursorOn));
    // A second end changes nothing.
    const { length } = written;
    shown.stop();
    expect(written.length).toBe(length);
  });

  it("begins with the first step it is told of: that of a training which goes on", () => {
    const { shown, written } = display(true);
    shown.showStep({ ...progress, step: 17 });
    shown.stop();
    expect(written.join("")).toMatch(/epoch 2\/5 .*17\/30/);
  });
});
