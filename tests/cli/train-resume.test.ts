import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { mulberry32 } from "../../src/tensor/random.ts";
import { comparable, killAndGoOn, runProcess } from "../crash/interrupted-run.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

const epochs = 4;
let data: string;
let work: string;
/** A run that nobody interrupted. */
let whole: Readonly<Record<string, string>>;
/** What a run said that was stopped in its third epoch, after step 8 of 16; its folder is `stopped`. */
let stopped: Awaited<ReturnType<typeof stopAt>>;
const photos = () => join(data, "photos");
const run = () => join(work, "run");
const begin = (output: string) => [
  ...["train", photos(), "-o", output, ...smallTraining, "--epochs", String(epochs), "--dropout", "0.3"],
  ...["--sample-weights", join(data, "weights.csv")],
];
const goOn = (...flags: string[]) => capture(["train", "--resume", "-o", run(), ...flags]);
const readable = (text: string) => text.replaceAll(work, "WORK").replaceAll(data, "DATA");

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "xception-resume-data-"));
  await writeImages(photos(), 10, 1);
  await writeFile(join(data, "weights.csv"), "red/0.png,3\nblue/1.png,0\n");
  await capture(begin(join(data, "whole")));
  whole = await comparable(join(data, "whole"));
  stopped = await stopAt("epoch 2/4", [...begin(join(data, "stopped")), "--checkpoint-steps", "1"]);
});
afterAll(() => rm(data, { recursive: true }));
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-resume-"));
  return () => rm(work, { recursive: true });
});

/** Begins the run and presses Ctrl-C as soon as this text has appeared. */
async function stopAt(text: string, words: readonly string[] = [...begin(run()), "--checkpoint-steps", "1"]) {
  const controller = new AbortController();
  let stderr = "";
  const stopped = await capture(words, {
    signal: controller.signal,
    stderr: (written) => {
      stderr += written;
      if (stderr.includes(text)) controller.abort();
    },
  });
  return { ...stopped, stderr };
}

/** Copies the stopped run to where this test resumes it. */
const copyStopped = () => cp(join(data, "stopped"), run(), { recursive: true, preserveTimestamps: true });

const checkpointFiles = async (pattern = /^step-/) =>
  (await readdir(join(run(), "checkpoints"))).filter((name) => pattern.test(name)).sort();

describe("a run that goes on", () => {
  it("ends as if it had never been interrupted, and says where it goes on", async () => {
    expect(stopped.exitCode).toBe(1);
    expect(readable(stopped.stderr)).toMatch(/ To resume: xception train --resume -o DATA\/stopped\n$/);
    await copyStopped();
    const { exitCode, stderr } = await goOn();
    expect(exitCode).toBe(0);
    const [first, second] = readable(stderr).split("\n");
    expect(first).toBe("Training xception, 3,522 parameters, on 16 images of 2 classes; validating on 4");
    expect(second).toBe("Resuming after step 8, in epoch 3 of 4, from WORK/run/checkpoints/step-00000008.safetensors");
    expect(await comparable(run())).toEqual(whole);
    expect(await checkpointFiles()).toEqual(["step-00000012.safetensors", "step-00000016.safetensors"]);
    expect(await readdir(run())).not.toContain("run.lock");
  });

  it("does so when its processes are killed", async () => {
    const random = mulberry32(3);
    const { kills, processes } = await killAndGoOn([...begin(run()), "--checkpoint-steps", "1"], run(), {
      kills: 2,
      longestMs: 400,
      random,
    });
    expect(processes.at(-1)!.exitCode, processes.at(-1)!.stderr).toBe(0);
    expect(kills).toBeGreaterThan(0);
    expect(await comparable(run())).toEqual(whole);
  });

  it("goes on from the checkpoint before where the last one is torn", async () => {
    await copyStopped();
    const [before, last] = (await checkpointFiles()) as [string, string];
    const torn = join(run(), "checkpoints", last);
    await truncate(torn, 20_000);
    await writeFile(join(run(), ".model.onnx.01234567.tmp"), "half of a mo");
    const { exitCode, stderr } = await goOn("--checkpoint-steps", "1");
    expect(exitCode).toBe(0);
    expect(readable(stderr)).toMatch(
      new RegExp(
        `^Cannot resume from WORK/run/checkpoints/${last}; trying the previous one\\. checkpoint "WORK/run/.*`,
      ),
    );
    expect(stderr).toContain(`from ${join(run(), "checkpoints", before)}`);
    expect(await comparable(run())).toEqual(whole);
    expect((await readdir(run())).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("may move to another folder, with its images and what is said about them", async () => {
    await cp(photos(), join(work, "photos"), { recursive: true });
    const weights = join(work, "weights.csv");
    await cp(join(data, "weights.csv"), weights);
    await stopAt("epoch 1/4", [...begin(run()).with(1, join(work, "photos")).with(-1, weights)]);
    await rename(join(work, "photos"), join(work, "images"));
    await rename(weights, join(work, "counts.csv"));
    await rename(run(), join(work, "moved"));
    const again = ["train", join(work, "images"), "--resume", "-o", join(work, "moved")];
    const missing = await capture(again);
    expect(missing.exitCode).toBe(1);
    expect(readable(missing.stderr)).toMatchInlineSnapshot(`
      "error: file "WORK/weights.csv": the run in WORK/moved started with it, and it no longer exists. If it has moved, give its new place: xception train WORK/images --resume -o WORK/moved --sample-weights FILE
      "
    `);
    const lost = await capture(["train", "--resume", "-o", join(work, "moved")]);
    expect(readable(lost.stderr)).toMatchInlineSnapshot(`
      "error: folder "WORK/photos": the run in WORK/moved started with it, and it no longer exists. If it has moved, give its new place: xception train FOLDER --resume -o WORK/moved
      "
    `);
    await writeFile(weights, "red/0.png,2\n");
    const changed = await capture(again);
    expect(changed.exitCode).toBe(1);
    expect(changed.stderr).toContain("2 with another weight (blue/1.png, red/0.png). Restore them");
    const { exitCode, stderr } = await capture([...again, "--sample-weights", join(work, "counts.csv")]);
    expect(exitCode, stderr).toBe(0);
    const { settings, ...rest } = await comparable(join(work, "moved"));
    expect({ ...rest, settings: settings!.replaceAll(work, data) }).toEqual(whole);
  });
});

describe("threads of the engine", () => {
  // With this network seven threads add up in another order than one or two.
  const wide = (output: string) => [
    ...[...begin(output), "--width", "0.05", "--batch-size", "8", "--epochs", "2", "--threads", "7"],
  ];

  it("are as many as the run began with, for the same result", async () => {
    await capture(wide(join(work, "uninterrupted")));
    await stopAt("epoch 1/2", wide(run()));
    const { exitCode, stderr } = await goOn();
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.not.stringContaining("may differ") });
    expect(await comparable(run())).toEqual(await comparable(join(work, "uninterrupted")));
    const report = JSON.parse(await readFile(join(run(), "report.json"), "utf8"));
    expect(report.reproduction.commands[0]).toContain(" --threads 7 ");
  });

  it("may be others, which is said", async () => {
    await stopAt("epoch 1/2", wide(run()));
    const { exitCode, stderr } = await goOn("--threads", "1");
    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      "\nThe result may differ in its last digits from that of an uninterrupted run: --threads 1 instead of 7.\n",
    );
    await rm(run(), { recursive: true });
    await copyStopped();
    expect((await goOn("--threads", "2")).stderr).toContain(": --threads 2 instead of one for each core.\n");
  });
});

describe("without all of its checkpoints", () => {
  it.each(["damaged", "missing", "a folder"])(
    "a run goes on where the best weights are %s, and says so",
    async (kind) => {
      await copyStopped();
      const [best] = (await checkpointFiles(/^best-/)).slice(-1);
      const path = join(run(), "checkpoints", best!);
      if (kind === "damaged") await truncate(path, 100);
      else await rm(path);
      if (kind === "a folder") await mkdir(path);
      const { exitCode, stderr } = await goOn();
      expect(exitCode, stderr).toBe(0);
      expect(readable(stderr)).toMatch(
        /^(Ignored .*\n)?The best weights so far, of epoch \d, are lost; later epochs are compared without them\. best weights/,
      );
      expect(stderr).not.toContain("trying the previous one");
      const history = await readFile(join(run(), "history.csv"), "utf8");
      expect(history.trim().split("\r\n")).toHaveLength(1 + epochs);
    },
  );

  it("ignores folders and pipes named like one, with a note", async () => {
    await copyStopped();
    const folder = join(run(), "checkpoints", "step-00000900.safetensors");
    const pipe = join(run(), "checkpoints", "step-00000901.safetensors");
    await mkdir(folder);
    execFileSync("mkfifo", [pipe]);
    const { exitCode, stderr } = await goOn();
    expect(exitCode, stderr).toBe(0);
    for (const path of [folder, pipe]) expect(stderr).toContain(`Ignored ${path}: it is not a file.\n`);
    expect(await comparable(run())).toEqual(whole);
  });
});

it("continues a complete run for more epochs, as one that was longer from the start", async () => {
  const words = (output: string, count: number) => [
    ...["train", photos(), "-o", join(work, output), ...smallTraining],
    ...["--schedule", "constant", "--epochs", String(count)],
  ];
  await capture(words("run", 1));
  await capture(words("longer", 3));
  const { exitCode, stderr } = await goOn("--epochs", "3");
  expect(exitCode, stderr).toBe(0);
  expect(stderr).toContain("Resuming after step 4, in epoch 2 of 3");
  expect(await comparable(run())).toEqual(await comparable(join(work, "longer")));
  expect((await goOn("--epochs", "3")).stderr).toContain("is complete after 3 epochs: there is nothing to resume.");
  expect((await goOn("--epochs", "2")).exitCode).toBe(2);
});

describe("there is nothing to resume", () => {
  it("in a folder without a run", async () => {
    expect(await goOn()).toMatchObject({
      exitCode: 1,
      stderr: `error: folder "${run()}": there is no such folder to resume. Check its name, or start without --resume.\n`,
    });
    expect(await readdir(work)).toEqual([]);
    await mkdir(run());
    expect(await goOn()).toMatchObject({
      exitCode: 1,
      stderr: `error: folder "${run()}": it contains no checkpoint to resume from. Start without --resume; --overwrite replaces the reports of a run that did not get as far.\n`,
    });
    expect(await readdir(run())).toEqual([]);
    expect(await goOn("--overwrite")).toMatchObject({
      exitCode: 2,
      stderr:
        "error: option --overwrite: this cannot be set together with option --resume; expected --resume to resume the run, or " +
        "--overwrite to replace it.\n",
    });
  });

  it("where the run is over", async () => {
    await cp(join(data, "whole"), run(), { recursive: true, preserveTimestamps: true });
    const { exitCode, stdout, stderr } = await goOn();
    expect({ exitCode, stderr: readable(stderr) }).toEqual({
      exitCode: 0,
      stderr: "The run in WORK/run is complete after 4 epochs: there is nothing to resume.\n",
    });
    expect(stdout).toMatch(/^The model is that of epoch \d, the best of 4: /);
    expect(JSON.parse((await goOn("--json")).stdout)).toMatchObject({ aborted: false, steps: 16 });
    // A report that is missing is written, whatever else is there.
    await rm(join(run(), "report.html"));
    expect((await goOn()).stderr).toContain("Resuming after step 16, after the last epoch, from ");
    expect(await readdir(run())).toContain("report.html");
    expect(await comparable(run())).toEqual(whole);
  });

  it("where no checkpoint can be read", async () => {
    await mkdir(join(run(), "checkpoints"), { recursive: true });
    await writeFile(join(run(), "checkpoints", "step-00000001.safetensors"), "");
    const { exitCode, stderr } = await goOn();
    expect(exitCode).toBe(1);
    expect(readable(stderr)).toContain(
      'error: folder "WORK/run": none of its checkpoints can be read (1 tried). Start a new run, with ' +
        "--overwrite or in another folder.\n",
    );
  });
});

describe("what must not have changed", () => {
  it("are the settings, each of which is named", async () => {
    await copyStopped();
    const other = await goOn("--epochs", "5", "--seed", "0", "--optimizer", "sgd", "--device", "wasm");
    expect(other.exitCode).toBe(2);
    expect(other.stderr).toBe(
      'error: option --resume: the run was started with other settings; received "--epochs 5, --optimizer sgd, ' +
        '--device wasm"; expected --epochs 4, --optimizer adamw, --device not given. Leave them out to resume the run, ' +
        "or start a new one in another folder.\n",
    );
  });

  it("are the images, each of which is named", async () => {
    await cp(photos(), join(work, "photos"), { recursive: true });
    await stopAt("epoch 1/4", [...begin(run()).with(1, join(work, "photos"))]);
    const at = (...parts: string[]) => join(work, "photos", ...parts);
    const bytes = await readFile(at("red", "1.png"));
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(at("red", "1.png"), bytes);
    await writeFile(at("red", "new.png"), bytes);
    await rm(at("blue", "0.png"));
    await rm(at("blue", "2.png"));
    const { exitCode, stderr } = await goOn();
    expect(exitCode).toBe(1);
    expect(readable(stderr)).toBe(
      'error: images of the run in "WORK/run": they have changed since it started: 1 added (red/new.png); 2 removed ' +
        "(blue/0.png, blue/2.png); 1 changed (red/1.png). Restore them, or start a new run in another folder.\n",
    );
    await rm(join(run(), "checkpoints", "images.json"));
    expect(readable((await goOn()).stderr)).toContain(
      "they have changed since it started: it is unknown which, since their list is missing. Restore",
    );
  });

  it("are the labels and weights of images, which files say", async () => {
    const [labels, weights] = [join(work, "labels.csv"), join(work, "weights.csv")];
    const lines = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => `red/${index}.png,${index % 2 === 0 ? "even" : "odd"}\n`);
    await writeFile(labels, lines.join(""));
    await writeFile(weights, "red/3.png,2\nred/5.png,2\n");
    const files = ["--labels-file", labels, "--sample-weights", weights];
    await stopAt("epoch 1/4", ["train", photos(), "-o", run(), ...smallTraining, "--epochs", "4", ...files]);
    await writeFile(labels, lines.with(2, "red/2.png,even;odd\n").join(""));
    await writeFile(weights, "red/5.png,3\n");
    const { exitCode, stderr } = await goOn();
    expect(exitCode).toBe(1);
    expect(readable(stderr)).toBe(
      'error: images of the run in "WORK/run": they have changed since it started: 1 with other labels (red/2.png); ' +
        "2 with another weight (red/3.png, red/5.png). Restore them, or start a new run in another folder.\n",
    );
  });
});

it.runIf(process.platform !== "win32")("a second Ctrl-C ends at once, and nothing is lost", async () => {
  const stopped = await runProcess([...begin(run()), "--checkpoint-steps", "1"], (child) => {
    const press = () => child.kill("SIGINT");
    child.stderr!.on("data", (text: string) => {
      if (text.includes("epoch 1/4")) press();
      if (text.includes("once more to stop at once")) press();
    });
  });
  expect(stopped.stderr).toContain("Stopping; once more to stop at once.\n");
  const { exitCode } = await goOn();
  expect(exitCode).toBe(0);
  expect(await comparable(run())).toEqual(whole);
});
