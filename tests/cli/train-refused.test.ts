import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let data: string;
let work: string;
beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "xception-refused-data-"));
  await writeImages(data, 3, 1);
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
    [["--epochs", "0"], 'option --epochs: this value is not allowed; received "0"; expected a whole number from 1.'],
    [
      ["--epochs", "many"],
      'option --epochs: this value is not allowed; received "many"; expected a whole number from 1.',
    ],
    [
      ["--batch-size", "0"],
      'option --batch-size: this value is not allowed; received "0"; expected a whole number from 1, or auto.',
    ],
    [
      ["--image-size", "70"],
      'option --image-size: this value is not allowed; received "70"; expected a whole number from 71 to 8192.',
    ],
    [
      ["--learning-rate", "-1"],
      'option --learning-rate: this value is not allowed; received "-1"; expected a number above 0.',
    ],
    [
      ["--label-smoothing", "1"],
      'option --label-smoothing: this value is not allowed; received "1"; expected a number from 0, below 1.',
    ],
    [
      ["--weight-decay", "-1"],
      'option --weight-decay: this value is not allowed; received "-1"; expected a number from 0.',
    ],
    [
      ["--fc-units", "4096,x"],
      'option --fc-units: this value is not allowed; received "4096,x"; expected a list, each a whole number from 1 to 65536.',
    ],
    [
      ["--momentum", "0.9"],
      "option --momentum: this does not go with optimizer adamw; received 0.9; expected optimizer sgd or rmsprop.",
    ],
    [
      ["--optimizer", "lion"],
      'option --optimizer: this value is not allowed; received "lion"; expected one of sgd, rmsprop, adam, adamw.',
    ],
    [
      ["--schedule", "linear"],
      'option --schedule: this value is not allowed; received "linear"; expected one of constant, exponential, step, cosine, one-cycle, plateau.',
    ],
    [
      ["--val", "x", "--split", "80/20"],
      "option --split: the images of --val take the place of a share of the folder; received [80, 20, 0]; expected 0 as its second number.",
    ],
    [
      ["--test", "x", "--split", "0.8/0.1/0.1"],
      "option --split: the images of --test take the place of a share of the folder; received [0.8, 0.1, 0.1]; expected 0 as its third number.",
    ],
    [
      ["--split", "1/0/0", "--patience", "3"],
      "option --patience: it needs validation images, and there are none; received 3. Add --val or a share for validation to --split, or leave out --patience.",
    ],
    [
      ["--split", "1/0", "--temperature"],
      "option --temperature: it needs validation images, and there are none; received true. Add --val or a share for validation to --split, or leave out --temperature.",
    ],
    [
      ["--head-views", "3"],
      "option --head-views: there are no epochs of the head alone; received 3. Add --head-epochs, or leave out --head-views.",
    ],
    [
      ["--head-epochs", "0", "--head-rate", "0.1"],
      "option --head-rate: there are no epochs of the head alone; received 0.1. Add --head-epochs, or leave out --head-rate.",
    ],
    [
      ["--test-labels-file", "x.csv"],
      'option --test-labels-file: there are no images for it; received "x.csv"; expected --test-labels-file together with --labels-file and --test.',
    ],
    [
      ["--architecture", "xception65", "--fc-units", "9"],
      "option --fc-units: this does not go with architecture xception65; received [9]; expected architecture xception or legacy_xception.",
    ],
    [["--key", "ema/model"], 'option --key: there are no weights to start from; received "ema/model". Add --weights.'],
    [["--seed", "-1"], 'option --seed: this value is not allowed; received "-1"; expected a whole number from 0.'],
    [
      ["--recipe", "paper-imagnet"],
      'option --recipe: there is no such recipe; received "paper-imagnet"; expected from-scratch, finetune, paper-imagenet, paper-jft. Did you mean paper-imagenet?',
    ],
  ])("%j", async (flags, message) => {
    expect(await refused(join(work, "run"), ...flags)).toEqual({ exitCode: 2, stderr: `error: ${message}\n` });
  });
});

describe("what training cannot do without", () => {
  it.each([
    [
      ["train", "-o", "run"],
      "argument folder: it is missing; expected a folder of images, with one subfolder for each class.",
    ],
    [["train", "--resume"], "option --output: it is missing; expected a folder to write the run into, e.g. -o run."],
    [
      ["train", "photos", "-o", ""],
      "option --output: it is missing; expected a folder to write the run into, e.g. -o run.",
    ],
  ])("%j", async (argv, message) => {
    expect(await capture(argv)).toEqual({ exitCode: 2, stdout: "", stderr: `error: ${message}\n` });
  });
});

describe("a run among the images is refused", () => {
  it("in their folder, below it, through a link, and among those to test on", async () => {
    const val = join(work, "val");
    await writeImages(val, 1, 3);
    await symlink(data, join(work, "link"));
    const refusal = (folder: string, output: string) => ({
      exitCode: 2,
      stderr:
        `error: option --output: the run would be written into the image folder ${folder}; ` +
        `received "${output}"; expected a folder outside of it.\n`,
    });
    expect(await refused(data)).toEqual(refusal("DATA", "DATA"));
    expect(await refused(join(data, "run"))).toEqual(refusal("DATA", "DATA/run"));
    expect(await refused(join(work, "link", "a", "run"))).toEqual(refusal("DATA", "WORK/link/a/run"));
    expect(await refused(join(val, "run"), "--val", val)).toEqual(refusal("WORK/val", "WORK/val/run"));
  });

  it("around them", async () => {
    const photos = join(work, "deep", "photos");
    await writeImages(photos, 1, 3);
    const { exitCode, stderr } = await refused(work, "--val", photos);
    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      'error: option --output: the image folder WORK/deep/photos is in it; received "WORK"; expected a folder for the run ' +
        "alone.\n",
    );
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
  it("validation images of other classes", async () => {
    const val = await mkdtemp(join(tmpdir(), "xception-refused-val-"));
    await writeImages(val, 1, 3);
    await mkdir(join(val, "violet"));
    await writeFile(join(val, "violet", "1.png"), "");
    const { exitCode, stderr } = await refused(join(work, "run"), "--val", val);
    await rm(val, { recursive: true });
    expect(exitCode).toBe(1);
    expect(stderr).toBe(
      "error: classes of the validation set: they differ from those of the training set: the training set does not know " +
        'violet; received ["blue", "red", "violet"]; expected ["blue", "red"].\n',
    );
  });

  it("batches larger than the data set", async () => {
    const { exitCode, stderr } = await refused(join(work, "run"), "--batch-size", "99");
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /error: data set: there are not enough usable images for a batch; received 4; expected at least 99\. Add images or use smaller batches\.\n$/,
    );
  });

  it("no images, one class, no folder", async () => {
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
