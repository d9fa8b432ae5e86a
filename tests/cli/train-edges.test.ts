import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { addTrainOptions } from "../../apps/cli/train/flags.ts";
import { capture } from "./capture.ts";

interface Edges {
  /** The range as an error says it. */
  readonly range: string;
  readonly allowed: readonly string[];
  readonly refused: readonly string[];
  /** What it needs beside it. */
  readonly beside?: readonly string[];
}

const refusedCounts = ["0", "0.5", "9007199254740993", "1,5", "0x"];
/** A count from 1. */
const count = { range: "a whole number from 1", allowed: ["1", "9007199254740991"], refused: refusedCounts };
const countOrNone = { ...count, range: "a whole number from 1, or none", allowed: [...count.allowed, "none"] };
const counts = {
  range: "a list, each a whole number from 1",
  allowed: ["none", "1", "7,8"],
  refused: [...refusedCounts.filter((each) => each !== "1,5"), "1,0", "1,", ","],
};
const seed = { range: "a whole number from 0", allowed: ["0", "9007199254740991"], refused: ["0.5"] };
const share = { range: "a number from 0, below 1", allowed: ["0", "0.999"], refused: ["1"] };
const positive = { range: "a number above 0", allowed: ["1e-300", "1e308"], refused: ["0"] };
const divisor = { range: "a number from 1", allowed: ["1", "1e308"], refused: ["0.99"] };
const strength = { range: "a number from 0, up to 100", allowed: ["0", "100"], refused: ["100.1"] };
const upToOne = { range: "a number from 0, up to 1, or auto", allowed: ["0", "1", "auto"], refused: ["1.1"] };

/** Every flag that takes a number. */
const flags: Readonly<Record<string, Edges>> = {
  "--split": {
    range: "shares of training, validation and test that add up to 100 or 1, e.g. 80/10/10, or auto",
    allowed: ["100/0", "80/20", "80/10/10", "0.8/0.1/0.1", "33.4/33.3/33.3", "auto"],
    refused: ["80", "0/50/50", "80/10/20", "80/-10/30", "70/10/10/10", "80/20/"],
  },
  "--image-size": { range: "a whole number from 71 to 8192", allowed: ["71", "8192"], refused: ["0", "70", "8193"] },
  "--rotation": { ...upToOne, range: "a number from 0, up to 180, or auto", allowed: ["0", "180"], refused: ["180.1"] },
  "--scale": { ...upToOne, range: "a number from 0, up to 0.5, or auto", allowed: ["0.5", "auto"], refused: ["0.6"] },
  "--shift": upToOne,
  "--resized-crop": {
    ...upToOne,
    range: "a number above 0, up to 1, or auto",
    allowed: ["1e-9"],
    refused: ["0", "1.1"],
  },
  "--brightness": upToOne,
  "--contrast": upToOne,
  "--saturation": upToOne,
  "--hue": { ...upToOne, range: "a number from 0, up to 0.5, or auto", allowed: ["0", "0.5"], refused: ["0.51"] },
  "--rand-augment": {
    range: "two numbers, operations from 0 to 14 and a magnitude from 0 to 10, e.g. 2,9, or auto",
    allowed: ["0,0", "14,10", "2,4.5", "auto"],
    refused: ["2", "15,1", "1,10.1", "1.5,2", "1,2,3", "1,", ","],
  },
  "--random-erasing": upToOne,
  "--mixup": strength,
  "--cut-mix": strength,
  "--width": { range: "a number above 0, up to 16", allowed: ["1e-9", "16"], refused: ["0", "16.1"] },
  "--dropout": share,
  "--fc-units": {
    ...counts,
    range: "a list, each a whole number from 1 to 65536",
    refused: [...counts.refused, "65537"],
  },
  "--middle-flow-repeats": { range: "a whole number from 0 to 100", allowed: ["0", "100"], refused: ["101", "0.5"] },
  "--head-epochs": { ...seed, range: "a whole number from 0" },
  "--cached-views": {
    range: "a whole number from 1 to 1000, or none",
    allowed: ["1", "1000", "none"],
    refused: ["0", "1001", "0.5"],
  },
  "--head-views": { range: "a whole number from 1 to 1000", allowed: ["1", "1000"], refused: ["0", "1001", "0.5"] },
  "--head-rate": positive,
  "--layer-decay": { range: "a number above 0, up to 1", allowed: ["1e-9", "1"], refused: ["0", "1.1"] },
  "--epochs": count,
  "--batch-size": { ...count, range: "a whole number from 1, or auto", allowed: ["1", "auto"] },
  "--accumulate": count,
  "--pixel-limit": count,
  "--patience": countOrNone,
  "--max-minutes": {
    range: "a number above 0, up to 35000, or none",
    allowed: ["1e-9", "35000", "none"],
    refused: ["0", "35001"],
  },
  "--label-smoothing": share,
  "--seed": seed,
  "--weights-seed": seed,
  "--learning-rate": positive,
  "--weight-decay": { range: "a number from 0", allowed: ["0", "1e308"], refused: [] },
  "--clip-norm": { ...positive, range: "a number above 0, or none", allowed: ["1e-300", "none"] },
  "--clip-value": { ...positive, range: "a number above 0, or none", allowed: ["1e-300", "none"] },
  "--average-decay": { ...share, beside: ["--average", "ema"] },
  "--momentum": { ...share, beside: ["--optimizer", "sgd"] },
  "--rho": { ...share, beside: ["--optimizer", "rmsprop"] },
  "--beta1": share,
  "--beta2": share,
  "--epsilon": { range: "a number from 0", allowed: ["0", "1e308"], refused: [] },
  "--warmup": share,
  "--initial-divisor": divisor,
  "--final-divisor": divisor,
  "--decay-factor": {
    range: "a number above 0, up to 1",
    allowed: ["1e-300", "1"],
    refused: ["0", "1.1"],
    beside: ["--schedule", "plateau"],
  },
  "--decay-epochs": { ...count, beside: ["--schedule", "exponential"] },
  "--decay-samples": { ...countOrNone, beside: ["--schedule", "exponential"] },
  "--decay-after": { ...counts, beside: ["--schedule", "step"] },
  "--plateau-patience": { ...count, beside: ["--schedule", "plateau"] },
  "--health-steps": seed,
  "--threads": { range: "a whole number from 1 to 256", allowed: ["1", "256"], refused: ["0", "257", "0.5"] },
  "--checkpoint-minutes": positive,
  "--checkpoint-steps": count,
  "--keep-checkpoints": count,
};

const printed = (flag: string, value: string) =>
  capture(["train", "--print-config", "--json", flag, value, ...(flags[flag]!.beside ?? [])]);

describe("the edges of every number that train takes", () => {
  it("are known here", () => {
    const numeric = addTrainOptions(new Command()).options.filter((option) => /<([nx][,/]?)+>/.test(option.flags));
    expect(numeric.map(({ long }) => long).toSorted()).toEqual(Object.keys(flags).toSorted());
  });

  it.each(Object.entries(flags))("%s", async (flag, { range, allowed, refused }) => {
    for (const value of [...refused, "-1", "NaN", "Infinity", "1e309", "", " ", "many"]) {
      const { exitCode, stdout, stderr } = await printed(flag, value);
      const message = `error: option ${flag}: this value is not allowed; received "${value}"; expected ${range}.\n`;
      expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 2, stdout: "", stderr: message });
    }
    for (const value of allowed) {
      const { exitCode, stderr } = await printed(flag, value);
      expect(exitCode, stderr).toBe(0);
    }
  });
});
