import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import golden from "../golden/xception-paper-71x71-10.json" with { type: "json" };
import { capture } from "./capture.ts";

const file = "tests/golden/xception-paper-71x71-10.json";
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-verify-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The golden file with other probabilities or taps. */
async function changed(name: string, fields: object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify({ ...golden, ...fields }));
  return path;
}

describe("verify", () => {
  it("compares a network of timm with timm's logits", async () => {
    const flags = ["--golden", "tests/golden/timm-forward.json", "--architecture", "xception41p", "--json"];
    const { exitCode, stdout } = await capture(["verify", ...flags]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ network: "xception41p", inputShape: [101, 86, 3], passed: true });
  });

  it("knows golden files of synthetic weights, and of real ones", async () => {
    const timm = ["--golden", "tests/golden/timm-forward.json", "--weights", "w.h5", "--image", "photo.jpg"];
    expect(await capture(["verify", ...timm])).toMatchObject({
      exitCode: 2,
      stderr:
        'error: golden file "tests/golden/timm-forward.json": its values belong to synthetic weights; expected no --weights.\n',
    });
    const photo = "tests/golden/imagenet-block13/elephant-features.json";
    expect(await capture(["verify", "--golden", photo])).toMatchObject({
      exitCode: 2,
      stderr: `error: golden file "${photo}": its values belong to real weights; expected --weights.\n`,
    });
  });

  it("trains, and compares losses and weights with Keras's", async () => {
    const sgd = "tests/golden/train-paper-sgd.json";
    const { exitCode, stdout, stderr } = await capture(["verify", "--golden", sgd]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toMatch(/^xception 71×71×3, 4 training steps\n/);
    expect(stdout).toMatch(/│ loss of step 4 +│ +\d\.\d\de-\d │ +3e-2 │ ok │/);
    expect(stdout).toContain("Training reproduces the golden values.");
  }, 400_000);

  it("prints a table with a row for each tap", async () => {
    const { exitCode, stdout, stderr } = await capture(["verify", "--golden", file]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toBe("xception 71×71×3, 10 classes, on 2 images, in the inference layout");
    expect(lines.at(-1)).toBe("The network reproduces the golden values.");
    const rows = lines.filter((line) => line.startsWith("│")).map((line) => line.split("│").map((cell) => cell.trim()));
    expect(rows.map(([, tap]) => tap)).toEqual([...Object.keys(golden.taps), "probabilities"]);
    expect(rows[1]).toEqual([
      "",
      "block2_pool",
      "2×17×17×128",
      "6",
      expect.stringMatching(/^\d\.\d\de-[67]$/),
      expect.stringMatching(/^\d\.\d\de-[5678]$/),
      "1e-3",
      "ok",
      "",
    ]);
  });

  it("prints JSON, and knows the layout of training", async () => {
    const { exitCode, stdout } = await capture(["verify", "--json", "--golden", file, "--layout", "training"]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      network: "xception",
      inputShape: [71, 71, 3],
      classes: 10,
      batchSize: 2,
      layout: "training",
      tolerance: { taps: 1e-3, probabilities: 1e-4 },
      taps: Object.entries(golden.taps).map(([layer, { shape }]) => ({ layer, shape, samples: 6, passed: true })),
      probabilities: { passed: true },
      passed: true,
    });
  });

  it("exits 1 and names the first layer that differs", async () => {
    const { block3_pool, ...taps } = golden.taps;
    const off = { ...block3_pool, values: block3_pool.values.map((value) => value + 0.01 * block3_pool.std) };
    const path = await changed("xception-paper-71x71-10.json", { taps: { ...taps, block3_pool: off } });
    const { exitCode, stdout, stderr } = await capture(["verify", "--golden", path]);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/│ block3_pool +│ 2×9×9×256 +│ +6 │ +1\.00e-2 │ +\S+ │ +1e-3 │ FAILS │/);
    expect(stdout).toContain("The network does not reproduce the golden values.");
    expect(stderr).toMatch(
      /^error: golden file ".*": the network differs from "block3_pool" on; received 0\.0(1|099)\d*; expected at most 0\.001 of its standard deviation\.\n$/,
    );
    expect((await capture(["verify", "--golden", path, "--tolerance", "0.011"])).exitCode).toBe(0);
  });

  it("exits 1 when the probabilities alone differ", async () => {
    const probabilities = golden.probabilities.map((row) => row.map((value) => value + 0.001));
    const path = await changed("probabilities-71x71.json", { probabilities });
    const { exitCode, stdout, stderr } = await capture(["verify", "--json", "--golden", path]);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ probabilities: { passed: false }, passed: false });
    expect(stderr).toMatch(
      /^error: golden file ".*": the network's probabilities differ; received 0\.00(1|099)\d*; expected at most 0\.0001\.\n$/,
    );
  });
});

describe("verify refuses", () => {
  it.each([
    [[], 2, "error: verify: there is nothing to verify; expected a model, or --golden FILE.\n"],
    [["--golden", "nowhere.json"], 1, 'error: file "nowhere.json": there is no such file.\n'],
    [["--golden", "README.md"], 1, 'error: golden file "README.md", character 0: this is not JSON.\n'],
    [
      ["--golden", file, "--tolerance", "0"],
      2,
      'error: option --tolerance: this value is not allowed; received "0"; expected a number above 0.\n',
    ],
    [
      ["--golden", file, "--layout", "fast"],
      2,
      "error: option '--layout <name>' argument 'fast' is invalid. Allowed choices are inference, training.\n",
    ],
    [
      ["--golden", file, "--classes", "7"],
      2,
      `error: golden file "${file}": the file names its network, and flags cannot change it; received "classes". Leave the flag out, or change the architecture in the file.\n`,
    ],
    [
      ["--golden", file, "--architecture", "xception41"],
      2,
      `error: golden file "${file}": the file names its network, and flags cannot change it; received "architecture". Leave the flag out, or change the architecture in the file.\n`,
    ],
  ])("%j with exit %i", async (argv, exitCode, stderr) => {
    expect(await capture(["verify", ...argv])).toEqual({ exitCode, stdout: "", stderr });
  });
});
