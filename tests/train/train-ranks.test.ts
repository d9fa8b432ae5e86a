import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import type { LayerHealth } from "../../src/base/records.ts";
import type { TrainingRequest } from "../../src/train/request.ts";
import { train } from "../../src/train/train.ts";
import { gatheredHealth, headFirst, inferenceNorm, type Outcome, outcomeOf, sharedTraining } from "./mpi/trainings.ts";

const program = fileURLToPath(new URL("mpi/train-ranks.ts", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "xception-ranks-"));
afterAll(() => rm(folder, { recursive: true }));

type Outcomes = Readonly<Record<string, Outcome & { readonly error?: string }>>;

interface RankFile {
  readonly outcomes: Outcomes;
  readonly health: readonly LayerHealth[];
}

/** What each of two ranks reached, by the name of the training; undefined without `mpirun`. */
const ranks = await runRanks();

async function runRanks(): Promise<readonly RankFile[] | undefined> {
  const mpirun = spawn("mpirun", ["-n", "2", process.execPath, "--import", "tsx", program, folder], {
    stdio: ["ignore", "inherit", "inherit"],
    timeout: 240_000,
  });
  const code = await new Promise<number | undefined>((resolve) => {
    mpirun.on("error", () => resolve(undefined));
    mpirun.on("exit", (status) => resolve(status ?? -1));
  });
  if (code === undefined) return undefined;
  expect(code).toBe(0);
  const files = [0, 1].map((rank) => readFile(join(folder, `rank-${rank}.json`), "utf8"));
  return (await Promise.all(files)).map((text) => JSON.parse(text) as RankFile);
}

beforeEach((context) => {
  if (!ranks) context.skip("there is no mpirun here: apt-get install mpich");
});

function outcomesOf(name: string): readonly [Outcome & { error?: string }, Outcome & { error?: string }] {
  return [ranks![0]!.outcomes[name]!, ranks![1]!.outcomes[name]!];
}

/** What one process does with the same images, in steps as large as those of two ranks together. */
async function single(options: Partial<TrainingRequest> = {}): Promise<Outcome> {
  const { dataset, validation, options: given } = sharedTraining;
  return outcomeOf(await train(dataset, { ...given, validation, batchSize: 8, ...options }));
}

function largestDifference(a: Outcome, b: Outcome): number {
  return Math.max(
    ...Object.entries(b.weights).map(([name, expected]) => {
      const scale = Math.max(1e-3, ...expected.map(Math.abs));
      return Math.max(...expected.map((value, index) => Math.abs(value - a.weights[name]![index]!) / scale));
    }),
  );
}

describe("two ranks", () => {
  it.each([
    ["synchronized", {}],
    ["head first", headFirst],
    ["frozen", { batchNorm: inferenceNorm }],
  ])("do what one process does with batches twice as large: %s", async (name, options) => {
    const [first, second] = outcomesOf(name);
    const expected = await single(options);
    expect(expected.steps).toBe(6);
    expect(first).toEqual(second);
    expect(largestDifference(first, expected)).toBeLessThan(2e-5);
    for (const [epoch, [loss, accuracy, validationLoss, validationAccuracy]] of expected.history.entries()) {
      expect(first.history[epoch]![0]).toBeCloseTo(loss!, 5);
      expect(first.history[epoch]![1]).toBe(accuracy);
      expect(first.history[epoch]![2]).toBeCloseTo(validationLoss!, 5);
      expect(first.history[epoch]![3]).toBe(validationAccuracy);
    }
    expect(first.predictions.map(([file]) => file)).toEqual(expected.predictions.map(([file]) => file));
    for (const [row, [, probability]] of expected.predictions.entries()) {
      expect(first.predictions[row]![1]).toBeCloseTo(probability, 5);
    }
  });

  it("tell of the health of gradients that are averaged, and of weights, as one process does", async () => {
    const { layers, options } = gatheredHealth();
    await single(options);
    const [first, second] = ranks!.map(({ health }) => health);
    expect(first!.map(({ layer }) => layer)).toEqual(layers.map(({ layer }) => layer));
    for (const [index, { gradientNorm, weightNorm, updateRatio }] of layers.entries()) {
      expect(first![index]!.gradientNorm / gradientNorm).toBeCloseTo(1, 3);
      expect(first![index]!.weightNorm).toBeCloseTo(weightNorm, 4);
      expect(first![index]!.updateRatio / updateRatio).toBeCloseTo(1, 3);
    }
    // Others than rank 0 have nothing to tell.
    expect(second).toEqual([]);
  });

  it("have the same weights, another result than one process, where each normalizes by its own batch", async () => {
    const [first, second] = outcomesOf("apart");
    expect(first).toEqual(second);
    expect(largestDifference(first, await single())).toBeGreaterThan(1e-2);
  });

  it("normalize by the micro-batches of both", () => {
    const [first, second] = outcomesOf("synchronized in parts");
    expect(first).toEqual(second);
    expect(largestDifference(first, outcomesOf("apart")[0])).toBeGreaterThan(1e-3);
  });

  it("both know of a damaged image that one of them met, and end their epochs together", () => {
    const [first, second] = outcomesOf("damaged");
    expect(first).toEqual(second);
    expect(first).toMatchObject({ skipped: ["green/4"], validationSkipped: ["green/1"], steps: 6, aborted: false });
    expect(first.predictions).toHaveLength(10);
  });

  it("go on from rank 0's checkpoint bit for bit, each at its own place", () => {
    const [first, second] = outcomesOf("resumed");
    expect(first).toEqual(second);
    expect(first).toEqual(outcomesOf("with checkpoint")[0]);
  });

  it("both stop after the step in which one was told to", () => {
    const [first, second] = outcomesOf("stopped by rank 1");
    expect(first).toEqual(second);
    expect(first).toMatchObject({ aborted: true, steps: 2, history: [] });
  });

  it("both stop in the test of an epoch", () => {
    const [first, second] = outcomesOf("stopped by rank 1 in its test");
    expect(first).toEqual(second);
    expect(first).toMatchObject({
      aborted: true,
      steps: 3,
      history: [[expect.any(Number), expect.any(Number), null, null]],
    });
  });

  it("refuse to train different things", () => {
    for (const { error } of outcomesOf("with another seed on rank 1")) {
      expect(error).toBe(
        'train option communicator, rank 1: it was given another run than rank 0: it differs in seed; received {"seed":1}; ' +
          'expected {"seed":0}. Give all ranks the same options, and the same files under the same paths.',
      );
    }
  });

  it("end with the same error when the loss is no number any more", () => {
    const [first, second] = outcomesOf("diverged");
    expect(first).toEqual(second);
    expect(first.error).toMatch(/^training, epoch 1, step \d: the loss is NaN or infinite, from the output of/);
  });
});
