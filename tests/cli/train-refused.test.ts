import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { capture } from "./capture.ts";
import { smallTraining, writePictures } from "./train-fixtures.ts";

let data: string;
let work: string;
beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "xception-refused-data-"));
  await writePictures(data, 3, 1);
});
afterAll(() => rm(data, { recursive: true }));
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-refused-"));
  return () => rm(work, { recursive: true });
});

/** The command's result, which must leave nothing behind. */
async function refused(output: string, ...flags: string[]) {
  const before = await readdir(work);
  const { exitCode, stdout, stderr } = await capture(["train", data, "-o", output, ...smallTraining, ...flags]);
  expect(stdout).toBe("");
  expect(await readdir(work)).toEqual(before);
  return { exitCode, stderr: stderr.replaceAll(data, "DATA").replaceAll(work, "WORK") };
}

describe("wrong usage", () => {
  it.each([
    [["--epochs", "0"], "train option epochs: this is not allowed; received 0; expected a whole number from 1."],
    [["--epochs", "many"], 'option --epochs: this is not a number; received "many".'],
    [["--batch-size", "0"], "train option batchSize: this is not allowed; received 0; expected a whole number from 1."],
    [
      ["--image-size", "70"],
      'xception option "inputShape": this value is not allowed; received [70, 70, 3]; ' +
        "expected height and width of at least 71×71.",
    ],
    [
      ["--learning-rate", "-1"],
      "train option learningRate: this is not allowed; received -1; expected a number above 0.",
    ],
    [
      ["--label-smoothing", "1"],
      "train option labelSmoothing: this is not allowed; received 1; expected a number from 0 to below 1.",
    ],
    [
      ["--weight-decay", "-1"],
      'optimizer option "weightDecay": this value is not allowed; received -1; expected a number of at least 0.',
    ],
    [
      ["--momentum", "0.9"],
      "option --momentum: adamw has no momentum to set; received 0.9; expected --optimizer sgd or rmsprop.",
    ],
    [
      ["--optimizer", "lion"],
      "option '--optimizer <name>' argument 'lion' is invalid. Allowed choices are sgd, rmsprop, adam, adamw.",
    ],
    [
      ["--schedule", "linear"],
      "option '--schedule <name>' argument 'linear' is invalid. Allowed choices are constant, cosine, one-cycle, exponential.",
    ],
    [["--val", "x", "--val-share", "0.5"], "option '--val-share <share>' cannot be used with option '--val <folder>'"],
    [
      ["--val-share", "0"],
      "splitDataset: the share cannot be held out; received 0; expected a number between 0 and 1.",
    ],
    [
      ["--seed", "-1"],
      'xception option "seed": this value is not allowed; received -1; expected an integer from 0 to 2^53 - 1.',
    ],
  ])("%j", async (flags, message) => {
    expect(await refused(join(work, "run"), ...flags)).toEqual({ exitCode: 2, stderr: `error: ${message}\n` });
  });
});

describe("a folder that cannot be written to is refused before training", () => {
  it("its parent is missing", async () => {
    expect(await refused(join(work, "missing", "run"))).toEqual({
      exitCode: 1,
      stderr: 'error: folder "WORK/missing/run": the folder WORK/missing does not exist. Create it first.\n',
    });
  });

  it("it is a file, or in one", async () => {
    await writeFile(join(work, "file"), "");
    for (const output of [join(work, "file"), join(work, "file", "run")]) {
      const { exitCode, stderr } = await refused(output);
      expect(exitCode).toBe(1);
      expect(stderr.replace('/run"', '"').replace("WORK/file/run is", "WORK/file is")).toBe(
        'error: folder "WORK/file": WORK/file is not a folder.\n',
      );
    }
  });

  it.runIf(process.platform === "linux").each(["/sys", "/sys/run"])("nobody may write into %s", async (output) => {
    expect(await refused(output)).toEqual({
      exitCode: 1,
      stderr: `error: folder "${output}": the folder /sys is not writable.\n`,
    });
  });

  it("any other reason is passed on", async () => {
    const { exitCode, stderr } = await refused(join(work, "x".repeat(300)));
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/: it cannot be used \(ENAMETOOLONG: .*\)\.\n$/);
  });
});

describe("data that cannot be used", () => {
  it("validation pictures of other classes", async () => {
    const val = await mkdtemp(join(tmpdir(), "xception-refused-val-"));
    await writePictures(val, 1, 3);
    await mkdir(join(val, "violet"));
    await writeFile(join(val, "violet", "1.png"), "");
    const { exitCode, stderr } = await refused(join(work, "run"), "--val", val);
    await rm(val, { recursive: true });
    expect(exitCode).toBe(1);
    expect(stderr).toBe(
      "error: classes of the data set: they differ from those of the training set: the training set does not know " +
        'violet; received ["blue", "red", "violet"]; expected ["blue", "red"].\n',
    );
  });

  it("batches larger than the data set", async () => {
    const { exitCode, stderr } = await refused(join(work, "run"), "--batch-size", "99");
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /error: data set: there are not enough usable pictures for a batch; received 4; expected at least 99\. Add pictures or use smaller batches\.\n$/,
    );
  });

  it("no pictures, one class, no folder", async () => {
    const empty = join(work, "empty");
    await mkdir(empty);
    const single = join(work, "single");
    await mkdir(join(single, "cat"), { recursive: true });
    await writeFile(join(single, "cat", "1.png"), "");
    const messages = await Promise.all(
      [empty, single, join(work, "missing")].map(async (folder) => {
        const { exitCode, stderr } = await capture(["train", folder, "-o", join(work, "run")]);
        return [exitCode, stderr.replaceAll(work, "WORK").replace(/; expected .*/s, "")];
      }),
    );
    expect(messages).toEqual([
      [1, 'error: data set "WORK/empty": the folder has no class folders'],
      [1, 'error: data set "WORK/single": there is only one class; received "cat"'],
      [1, 'error: folder "WORK/missing": there is no such folder.\n'],
    ]);
  });
});
