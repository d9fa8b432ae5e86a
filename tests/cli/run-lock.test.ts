import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { acquireLock, lockFile } from "../../apps/cli/train/run-lock.ts";
import { FileError, TrainingError } from "../../src/base/errors.ts";

let work: string;
const run = () => join(work, "run");
const silent = () => expect.fail("there is nothing to tell");
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-lock-"));
  return () => rm(work, { recursive: true });
});

async function refusal(): Promise<string> {
  const error: unknown = await acquireLock(run(), silent).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(TrainingError);
  return (error as TrainingError).message.replaceAll(work, "WORK");
}

/** The number of a process that is no more. */
async function formerProcess(): Promise<number> {
  const child = spawn(process.execPath, ["-e", ""]);
  await once(child, "exit");
  return child.pid!;
}

it("is one process's at a time, and leaves nothing behind", async () => {
  const release = await acquireLock(run(), silent);
  expect(await readdir(run())).toEqual([lockFile]);
  const { startedAt } = JSON.parse(await readFile(join(run(), lockFile), "utf8"));
  expect(await refusal()).toBe(
    `folder "WORK/run": another run is writing into it (process ${process.pid} on ${hostname()}, started ${startedAt}). ` +
      "Wait for it, stop it, or choose another folder.",
  );
  await release();
  expect(await readdir(work)).toEqual([]);
});

it("is given back only by its owner, and a folder that holds something stays", async () => {
  const release = await acquireLock(run(), silent);
  await writeFile(join(run(), lockFile), "somebody else's");
  await release();
  expect(await readFile(join(run(), lockFile), "utf8")).toBe("somebody else's");
});

it("is taken over from a process that is no more, or whose number another one has now", async () => {
  const notes: string[] = [];
  const left = { pid: await formerProcess(), host: hostname(), startedAt: "2026-01-02T03:04:05.678Z" };
  for (const owner of [
    { ...left, processStart: null },
    // Only Linux tells two processes of the same number apart.
    ...(process.platform === "linux" ? [{ ...left, pid: process.pid, processStart: "an earlier one" }] : []),
  ]) {
    await (await acquireLock(run(), silent))();
    const kept = await acquireLock(run(), silent);
    await writeFile(join(run(), lockFile), JSON.stringify(owner));
    const release = await acquireLock(run(), (text) => notes.push(text));
    expect(await readdir(run())).toEqual([lockFile]);
    await kept();
    await release();
  }
  expect(notes.at(0)).toBe(
    `Took over the lock of process ${left.pid} on ${hostname()}, started ${left.startedAt}: it is no longer running.`,
  );
});

it("is not taken over from another machine, or from a run that is just beginning", async () => {
  const kept = await acquireLock(run(), silent);
  const path = join(run(), lockFile);
  await writeFile(path, JSON.stringify({ pid: 1, host: "elsewhere", startedAt: "today", processStart: null }));
  expect(await refusal()).toBe(
    'folder "WORK/run": another run is writing into it (process 1 on elsewhere, started today). This machine cannot check ' +
      "whether it is running; if it is not, delete WORK/run/run.lock.",
  );
  await writeFile(path, "");
  expect(await refusal()).toContain("(another run is just starting)");
  await utimes(path, 0, 0);
  const notes: string[] = [];
  await (await acquireLock(run(), (text) => notes.push(text)))();
  expect(notes).toEqual(["Took over the lock of a run that did not start: it is no longer running."]);
  await kept();
});

it("says so where it cannot be written", async () => {
  await writeFile(run(), "a file");
  const error: unknown = await acquireLock(run(), silent).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(FileError);
  expect((error as FileError).message).toMatch(
    /^folder ".*run": the lock of the run cannot be written \(ENOTDIR: .*\)\.$/,
  );
});
