import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { readEvents } from "../../src/report/tensorboard.ts";
import { decodeReport } from "../../src/report/training-report.ts";
import { readEventFile } from "../oracles/event-file.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let data: string;
let work: string;
const run = () => join(work, "run");
const begin = (...flags: string[]) => [
  ...["train", join(data, "photos"), "-o", run(), ...smallTraining, "--epochs", "3", ...flags],
];

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "xception-events-data-"));
  // 16 to learn from, 4 to test on: 4 steps for an epoch.
  await writeImages(join(data, "photos"), 10, 1);
});
afterAll(() => rm(data, { recursive: true }));
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-events-"));
  return () => rm(work, { recursive: true });
});

const eventFiles = async () => (await readdir(join(run(), "tensorboard"))).sort();

/** All numbers of all files as TensorBoard sees them, by tag: `[step, value]`. */
async function series(): Promise<Readonly<Record<string, readonly (readonly [number, number])[]>>> {
  let points: Record<string, [number, number][]> = {};
  let latest = 0;
  for (const name of await eventFiles()) {
    expect(name, "TensorBoard's pattern").toContain("tfevents");
    const [first, ...events] = readEventFile(await readFile(join(run(), "tensorboard", name)));
    expect(first).toEqual({ wallTime: first!.wallTime, step: 0, fileVersion: "brain.Event:2", scalars: [] });
    for (const { wallTime, step, fileVersion, sessionStatus, scalars } of [first!, ...events]) {
      expect(wallTime).toBeGreaterThanOrEqual(latest);
      latest = wallTime;
      // What was there from this step on is forgotten.
      if (sessionStatus === 1) {
        const before = ([at]: readonly [number, number]) => at < step;
        points = Object.fromEntries(Object.entries(points).map(([tag, all]) => [tag, all.filter(before)]));
      } else if (fileVersion === undefined) expect(scalars).not.toEqual([]);
      for (const [tag, value] of scalars) points[tag] = [...(points[tag] ?? []), [step, value]];
    }
  }
  return points;
}

const steps = (points: readonly (readonly [number, number])[]) => points.map(([step]) => step);

it("a training writes each step's and each epoch's numbers for TensorBoard", async () => {
  const { exitCode, stdout } = await capture(begin("--json"));
  expect(exitCode).toBe(0);
  const { history } = JSON.parse(stdout);
  const all = await series();
  const isHealth = (tag: string) => /^(gradient_norm|weight_norm|update_ratio|zero_share)\//.test(tag);
  const health = Object.keys(all).filter(isHealth);
  const written = Object.fromEntries(Object.entries(all).filter(([tag]) => !isHealth(tag)));
  expect(Object.keys(written).sort()).toEqual([
    "accuracy/training",
    "accuracy/validation",
    "images_per_second",
    "learning_rate",
    "loss/step",
    "loss/training",
    "loss/validation",
  ]);
  expect(steps(written["loss/step"]!)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  for (const [tag, name] of [
    ["loss/training", "loss"],
    ["loss/validation", "validationLoss"],
    ["accuracy/training", "accuracy"],
    ["accuracy/validation", "validationAccuracy"],
  ] as const) {
    expect(written[tag]).toEqual(
      history.map((record: Record<string, number>, epoch: number) => [4 * epoch + 4, Math.fround(record[name]!)]),
    );
  }
  // The mean over an epoch's steps is what the history says.
  const lastLosses = written["loss/step"]!.slice(-4).map(([, loss]) => loss);
  expect(lastLosses.reduce((a, b) => a + b) / 4).toBeCloseTo(history[2].loss, 5);
  expect(written.learning_rate!.at(-1)![1]).toBe(Math.fround(history[2].learningRate));

  // The health of the blocks is what the report shows, at the same steps.
  const report = decodeReport(await readFile(join(run(), "report.json"), "utf8"), "report.json");
  const expected = report.health!.flatMap(({ step, blocks }) =>
    blocks.flatMap(({ block, gradientNorm, weightNorm, updateRatio, activation }) => [
      [`gradient_norm/${block}`, step, gradientNorm],
      [`weight_norm/${block}`, step, weightNorm],
      [`update_ratio/${block}`, step, updateRatio],
      [`zero_share/${block}`, step, activation?.zeroShare],
    ]),
  );
  const shown = health.flatMap((tag) => all[tag]!.map(([step, value]) => [tag, step, value]));
  const stored = expected.flatMap(([tag, step, value]) =>
    value === undefined ? [] : [[tag, step, Math.fround(value as number)]],
  );
  expect(shown.length).toBeGreaterThan(20);
  expect(shown.toSorted()).toEqual(stored.toSorted());
});

it("one that was stopped goes on where it was, and a torn end is cut off", async () => {
  const controller = new AbortController();
  await capture(begin("--checkpoint-steps", "1"), {
    signal: controller.signal,
    stderr: (text) => text.includes("epoch 2/3") && controller.abort(),
  });
  const [first] = (await eventFiles()) as [string];
  // As if it had gone further than its checkpoint, and been killed while it wrote.
  const path = join(run(), "tensorboard", first);
  const bytes = await readFile(path);
  const later = readEvents(bytes).findIndex(({ step }) => step === 8);
  const checkpoints = join(run(), "checkpoints");
  for (const name of (await readdir(checkpoints)).filter((each) => /^step-0+8\./.test(each))) {
    await writeFile(join(checkpoints, name), "");
  }
  await appendFile(path, bytes.subarray(0, 20));
  expect(later).toBeGreaterThan(0);

  const { exitCode, stderr } = await capture(["train", "--resume", "-o", run()]);
  expect(exitCode, stderr).toBe(0);
  expect(stderr).toContain("Resuming after step 7");
  expect(await eventFiles()).toHaveLength(2);
  const written = await series();
  expect(steps(written["loss/step"]!)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  expect(steps(written["loss/validation"]!)).toEqual([4, 8, 12]);
});

it("nothing is written where nobody wants it, and an older run's events go with it", async () => {
  await capture(begin("--epochs", "1"));
  await writeFile(join(run(), "tensorboard", "somebody else's"), "");
  const [older] = await eventFiles();
  await capture(begin("--epochs", "1", "--overwrite", "--no-tensorboard"));
  expect(await eventFiles()).toEqual(["somebody else's"]);
  expect(older).toMatch(/^events\.out\.tfevents\.\d+\.xception$/);
});

it("a log that cannot be written ends, not the training", async () => {
  await capture(begin("--epochs", "1", "--no-tensorboard"));
  await writeFile(join(run(), "tensorboard"), "in the way");
  const { exitCode, stderr } = await capture(begin("--epochs", "1", "--overwrite"));
  expect(exitCode).toBe(0);
  const note = stderr.split("\n").find((line) => line.startsWith("TensorBoard"))!;
  expect(note.replaceAll(run(), "RUN").replace(/\d{10}/, "N")).toBe(
    `TensorBoard's events in RUN/tensorboard end here: file "RUN/tensorboard/events.out.tfevents.N.xception": RUN/tensorboard is not a folder.`,
  );
});
