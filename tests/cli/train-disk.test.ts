import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, expect, it, type TestContext } from "vitest";
import { comparable } from "../crash/interrupted-run.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let data: string;
let work: string;
/** A run that nothing happened to. */
let whole: Readonly<Record<string, string>>;
const disk = () => join(work, "disk");
const run = () => join(disk(), "run");
const begin = (output: string) => ["train", join(data, "photos"), "-o", output, ...smallTraining, "--epochs", "4"];

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "xception-disk-data-"));
  await writeImages(join(data, "photos"), 10, 1);
  await capture(begin(join(data, "whole")));
  whole = await comparable(join(data, "whole"));
});
afterAll(() => rm(data, { recursive: true }));
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-disk-"));
  await mkdir(disk());
  return async () => {
    await shell("umount", [disk()]).catch(() => {});
    await rm(work, { recursive: true });
  };
});

const shell = promisify(execFile);

/** A disk of 2 MiB, where one may make it. */
async function mountDisk(context: TestContext): Promise<void> {
  const mounted = await shell("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk()]).then(
    () => true,
    () => false,
  );
  if (!mounted) context.skip("only root can make a small disk, on Linux");
}

/** It is refused while a file is being written. */
async function remountReadOnly(): Promise<void> {
  for (;;) {
    try {
      await shell("mount", ["-o", "remount,ro", disk()]);
      return;
    } catch (error) {
      if (!(error as Error).message.includes("busy")) throw error;
    }
  }
}

/** Trains, and lets something happen between the second and the third epoch. */
async function trainAnd(happens: () => Promise<unknown>) {
  let stderr = "";
  let event: Promise<unknown> | undefined;
  const words = [...begin(run()), "--checkpoint-steps", "1"];
  const result = await capture(words, {
    stderr: (text) => {
      stderr += text;
      if (text.startsWith("epoch 2/4")) event = happens();
    },
  });
  await event;
  return { ...result, stderr: stderr.replaceAll(work, "WORK").replaceAll(/[^\n]*epoch \d\/4: [^\n]*\n/g, "") };
}

async function expectToGoOn(): Promise<void> {
  // Where it could not be removed: this process, which has it, still runs.
  await rm(join(run(), "run.lock"), { force: true });
  const { exitCode, stderr } = await capture(["train", "--resume", "-o", run()]);
  expect(exitCode, stderr).toBe(0);
  expect(await comparable(run())).toEqual(whole);
}

it("a full disk ends a training with the last checkpoint whole", async (context) => {
  await mountDisk(context);
  const filler = join(disk(), "filler");
  const { exitCode, stderr } = await trainAnd(() => writeFile(filler, new Uint8Array(2 ** 21)).catch(() => {}));
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /\nThe checkpoint of step \d+ stays in WORK\/disk\/run\. To resume: xception train --resume -o WORK\/disk\/run\nerror: file "WORK\/disk\/run\/[^"]*": the disk is full\. Make room on it\.\n$/,
  );
  await rm(filler);
  await expectToGoOn();
});

it("so does a disk that can only be read any more", async (context) => {
  await mountDisk(context);
  const { exitCode, stderr } = await trainAnd(remountReadOnly);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /\nThe checkpoint of step \d+ stays .*\nerror: file "[^"]*": the folder .* is not writable\.\n$/,
  );
  await shell("mount", ["-o", "remount,rw", disk()]);
  await expectToGoOn();
});

it("a run whose folder is moved away ends, and goes on there", async () => {
  const { exitCode, stderr } = await trainAnd(() => rename(run(), join(work, "moved")));
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /\nerror: folder "WORK\/disk\/run": it was moved or deleted during the run\. If it was moved, resume the run there with --resume\.\n$/,
  );
  expect(stderr).not.toContain("stays in");
  expect(await readdir(disk())).toEqual([]);
  await rename(join(work, "moved"), run());
  await expectToGoOn();
});
