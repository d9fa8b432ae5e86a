import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { acquireLock } from "../../apps/cli/train/run-lock.ts";
import { decodeReport, encodeReport } from "../../src/report/training-report.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let work: string;
const at = (...names: string[]) => join(work, ...names);
const data = async () => decodeReport(await readFile(at("run", "report.json"), "utf8"), "report.json");
const train = (...flags: string[]) =>
  capture(["train", at("photos"), "-o", at("run"), ...smallTraining, "--epochs", "2", ...flags]);

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-report-"));
  // 16 to learn from, 4 to test on: 4 steps for an epoch.
  await writeImages(at("photos"), 10, 1);
  const { exitCode, stderr } = await train("--health-steps", "2");
  expect(exitCode, stderr).toBe(0);
});
afterAll(() => rm(work, { recursive: true }));

it("makes the report of a run again, the same to the byte", async () => {
  const { exitCode, stdout, stderr } = await capture(["report", at("run"), "-o", at("again.html")]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
  expect(stderr.replace(work, "…")).toBe("Wrote …/again.html: 2 epochs, training is finished\n");
  const page = await readFile(at("again.html"), "utf8");
  expect(page === (await readFile(at("run", "report.html"), "utf8"))).toBe(true);
  expect(page).toContain("Health of the network");
  expect(page).not.toContain('http-equiv="refresh"');
});

it("says of a training that its time limit ended that it was stopped, for it can go on", async () => {
  await writeImages(at("more"), 10, 1);
  const flags = ["-o", at("stopped"), ...smallTraining, "--epochs", "100000", "--max-minutes", "0.08"];
  await capture(["train", at("more"), ...flags]);
  const { exitCode, stdout } = await capture(["report", at("stopped"), "--json"]);
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ state: "stopped" });
});

it("has what was seen of the training in it", async () => {
  const { steps, health, gallery, validation, live } = await data();
  expect(steps!.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(health!.map(({ step }) => step)).toEqual([2, 4, 6, 8]);
  expect(health![0]!.blocks.map(({ block }) => block)).toEqual([
    "block1",
    "block2",
    "block3",
    "block4",
    "block5",
    "block6",
    "top",
  ]);
  expect(gallery!.wrong.length + gallery!.right.length).toBe(4);
  expect(validation!.calibration!.temperature).toBeDefined();
  expect(live).toBeUndefined();
});

it("tells a training that goes on from one that was interrupted", async () => {
  const before = await readFile(at("run", "report.json"), "utf8");
  const live = { epoch: 2, epochs: 9, step: 3, steps: 4, loss: 1, accuracy: 0.5, secondsLeft: 1, time: "noon" };
  await writeFile(at("run", "report.json"), encodeReport({ ...(await data()), live }));
  const page = () => readFile(at("run", "report.html"), "utf8");
  const release = await acquireLock(at("run"), () => {});
  const running = await capture(["report", at("run"), "--json"]);
  expect(JSON.parse(running.stdout)).toEqual({ file: at("run", "report.html"), epochs: 2, state: "running" });
  expect(await page()).toContain("Written at noon;");
  await release();
  const stopped = await capture(["report", at("run"), "--json"]);
  expect(JSON.parse(stopped.stdout)).toMatchObject({ state: "interrupted" });
  expect(await page()).toContain(
    `It was interrupted in epoch 2 of 9, after step 3 of 4. To resume: xception train --resume -o ${at("run")}`,
  );
  expect(await page()).not.toContain("Written at");
  await writeFile(at("run", "report.json"), before);
});

it("says of a training that was killed before its first checkpoint that nothing can go on", async () => {
  await mkdir(at("killed"));
  const live = { epoch: 1, epochs: 9, step: 3, steps: 400, loss: 1, accuracy: 0.5, secondsLeft: 1, time: "noon" };
  await writeFile(at("killed", "report.json"), encodeReport({ title: "Killed", live }));
  const { stderr } = await capture(["report", at("killed")]);
  expect(stderr).toBe(`Wrote ${at("killed", "report.html")}: 0 epochs, training is interrupted\n`);
  expect(await readFile(at("killed", "report.html"), "utf8")).toContain(
    "It was interrupted in epoch 1 of 9, after step 3 of 400, before its first checkpoint: start it again with --overwrite.",
  );
});

it("keeps what was seen before an interruption", async () => {
  const controller = new AbortController();
  const stderr = (text: string) => text.includes("epoch 1/2") && controller.abort();
  await capture(
    [
      "train",
      at("photos"),
      "-o",
      at("run"),
      ...smallTraining,
      "--epochs",
      "2",
      "--overwrite",
      "--checkpoint-steps",
      "1",
    ],
    { signal: controller.signal, stderr },
  );
  const first = await data();
  expect(first.summary).toContain("It was stopped after");
  const { exitCode } = await capture(["train", "--resume", "-o", at("run")]);
  expect(exitCode).toBe(0);
  const { steps, health } = await data();
  expect(steps!.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(health!.map(({ step }) => step)).toEqual([2, 3, 4, 6, 7, 8]);
  expect(steps!.slice(0, first.steps!.length)).toEqual(first.steps);
});

it.each([
  ["a folder that is not there", "none", 'folder "…/none": there is no such folder; expected the folder of a run.'],
  [
    "a folder that is no run",
    "photos",
    'folder "…/photos": this is not the folder of a run; expected the output of xception train.',
  ],
  [
    "a run that has just begun",
    "begun",
    'folder "…/begun": this run has nothing to report yet: there is no report.json. It is written soon after the first step.',
  ],
  [
    "damaged data",
    "damaged",
    'file "…/damaged/report.json", character 1: this is not JSON. It is rewritten when the run is resumed.',
  ],
])("refuses %s", async (_, name, message) => {
  await mkdir(at("begun", "checkpoints"), { recursive: true });
  await mkdir(at("damaged"), { recursive: true });
  await writeFile(at("damaged", "report.json"), "{");
  const { exitCode, stderr } = await capture(["report", at(name)]);
  expect(exitCode).toBe(1);
  expect(stderr.replaceAll(work, "…")).toBe(`error: ${message}\n`);
});

it("refuses a number of steps that is none", async () => {
  const { exitCode, stderr } = await train("--overwrite", "--health-steps", "-1");
  expect(exitCode).toBe(2);
  expect(stderr).toBe(
    'error: option --health-steps: this value is not allowed; received "-1"; expected a whole number from 0.\n',
  );
});
