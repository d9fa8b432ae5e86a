import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { CliIo } from "../../apps/cli/io.ts";
import { timeLimit } from "../../apps/cli/train/rank-training.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let work: string;
const at = (...names: string[]) => join(work, ...names);

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-settings-"));
  await writeImages(at("photos"), 6, 1);
  await writeFile(at("mine.yaml"), "recipe: paper-imagenet\nepochs: 7\nbatchSize: 8 # small\n");
});
afterAll(() => rm(work, { recursive: true }));

async function printed(...flags: string[]): Promise<Record<string, unknown>> {
  const { exitCode, stdout, stderr } = await capture(["train", "--print-config", ...flags]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return parse(stdout);
}

describe("--print-config", () => {
  it("prints the settings with their sources: flag over file over recipe over default", async () => {
    const { stdout } = await capture([
      "train",
      "--print-config",
      ...["--config", at("mine.yaml"), "--epochs", "3", "--augment", "none"],
    ]);
    const lines = stdout.replaceAll(work, "WORK").split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        "augment: none # flag",
        "epochs: 3 # flag",
        "batchSize: 8 # WORK/mine.yaml",
        "learningRate: 0.045 # recipe paper-imagenet",
        "momentum: 0.9 # recipe paper-imagenet",
        "width: 1 # default",
      ]),
    );
  });

  it("takes the recipe of the flag, not that of the file", async () => {
    const flags = ["--config", at("mine.yaml"), "--recipe", "paper-jft"];
    expect(await printed(...flags)).toMatchObject({ optimizer: "rmsprop", decaySamples: 3e6, epochs: 7 });
  });

  it("prints JSON too, and needs neither images nor an output", async () => {
    const { stdout } = await capture(["train", "--print-config", "--json", "--recipe", "paper-jft"]);
    expect(JSON.parse(stdout)).toEqual(await printed("--recipe", "paper-jft"));
  });

  it("gives what --config reads", async () => {
    const { stdout } = await capture(["train", "--print-config", "--recipe", "paper-imagenet", "--clip-value", "0.5"]);
    await writeFile(at("again.yaml"), stdout);
    expect(await printed("--config", at("again.yaml"))).toEqual(parse(stdout));
  });

  it("turns switches on and off, and empties what a file fills", async () => {
    await writeFile(
      at("on.yaml"),
      "nesterov: true\noptimizer: sgd\nresidual: false\nfcUnits: [8]\nval: x\nbatchSize: 5\n",
    );
    const flags = ["--no-nesterov", "--residual", "--fc-units", "none", "--val", "none", "--batch-size", "auto"];
    expect(await printed("--config", at("on.yaml"), ...flags)).toMatchObject({
      nesterov: false,
      residual: true,
      fcUnits: [],
      val: null,
      batchSize: null,
    });
  });
});

describe("refused", () => {
  it.each([
    [
      "__proto__: 3",
      2,
      'file "WORK/bad.yaml", __proto__: there is no such setting. xception train --print-config lists them.',
    ],
    ["epoch: 5", 2, 'file "WORK/bad.yaml", epoch: there is no such setting. Did you mean epochs?'],
    [
      "epochs: five",
      2,
      'file "WORK/bad.yaml", epochs: this value is not allowed; received "five"; expected a whole number from 1.',
    ],
    ["recipe: fast", 2, 'file "WORK/bad.yaml", recipe: there is no such recipe; received "fast"; '],
    ["optimizer: adam\nmomentum: 0.5", 2, 'file "WORK/bad.yaml", momentum: this does not go with optimizer adam; '],
    ["epochs: [", 1, 'file "WORK/bad.yaml": this is neither YAML nor JSON ('],
  ])("a file with %j", async (text, code, message) => {
    await writeFile(at("bad.yaml"), text);
    const { exitCode, stdout, stderr } = await capture(["train", "--config", at("bad.yaml"), "--print-config"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: code, stdout: "" });
    expect(stderr.replaceAll(work, "WORK")).toContain(`error: ${message}`);
  });

  it("a file that is not there, and parts that do not divide the batch", async () => {
    const missing = await capture(["train", "--config", at("missing.yaml"), "--print-config"]);
    expect(missing.exitCode).toBe(1);
    expect(missing.stderr).toContain("missing.yaml");
    const parts = ["--accumulate", "3"];
    expect(await capture(["train", at("photos"), "-o", at("run"), ...smallTraining, ...parts])).toEqual({
      exitCode: 2,
      stdout: "",
      stderr:
        "error: option --accumulate: this value is not allowed; received 3; " +
        "expected a whole number that divides the batch size 4.\n",
    });
  });
});

it("a run writes its settings, which give the same model again", async () => {
  const flags = [...smallTraining, "--epochs", "2", "--accumulate", "2", "--average", "ema", "--clip-norm", "1"];
  expect((await capture(["train", at("photos"), "-o", at("first"), ...flags])).exitCode).toBe(0);
  const settings = at("first", "settings.yaml");
  expect(parse(await readFile(settings, "utf8"))).toMatchObject({
    accumulate: 2,
    average: "ema",
    clipNorm: 1,
    epochs: 2,
  });
  expect((await capture(["train", at("photos"), "-o", at("second"), "--config", settings])).exitCode).toBe(0);
  const model = await readFile(at("first", "model.onnx"));
  expect(model.equals(await readFile(at("second", "model.onnx")))).toBe(true);
});

it("patience ends a training early, and says so", async () => {
  // Steps of no size: after the first epoch nothing can get better but by the moving statistics.
  const still = ["--optimizer", "sgd", "--learning-rate", "1e-30", "--epochs", "60", "--patience", "1"];
  const { exitCode, stdout, stderr } = await capture([
    "train",
    at("photos"),
    "-o",
    at("still"),
    ...smallTraining,
    ...still,
  ]);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^The model is that of epoch \d+, the best of \d+: /);
  expect(stderr).toContain("Stopped early: no improvement for 1 epoch.\n");
});

describe("the time limit", () => {
  const io = (signal: AbortSignal) => ({ signal }) as CliIo;

  it("fires when the time is over, and says so", async () => {
    const limit = timeLimit(io(new AbortController().signal), 0.0001);
    expect(limit.reason).toBeUndefined();
    await new Promise((resolve) => {
      limit.signal.addEventListener("abort", resolve);
    });
    expect(limit.reason).toBe("The time limit was reached: --max-minutes 0.0001.");
  });

  it("leaves an interruption what it is", () => {
    const controller = new AbortController();
    const limit = timeLimit(io(controller.signal), 35_000);
    expect(limit.signal.aborted).toBe(false);
    controller.abort();
    expect([limit.signal.aborted, limit.reason]).toEqual([true, undefined]);
    expect(timeLimit(io(controller.signal), null).signal).toBe(controller.signal);
  });
});
