import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { claimsAbout, matchWidths, networkToCompare, parseNetworks } from "../../apps/cli/compare/networks.ts";
import { comparisonRequest } from "../../apps/cli/compare/request.ts";
import { networkCost } from "../../src/graph/cost.ts";
import { countParameters, networkWeights } from "../../src/graph/network.ts";
import type { Comparison } from "../../src/report/comparison.ts";
import { runProcess } from "../crash/interrupted-run.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let work: string;
beforeAll(async () => {
  const before = process.cwd();
  work = await mkdtemp(join(tmpdir(), "xception-compare-"));
  process.chdir(work);
  await writeImages("photos", 6, 1);
  await writeImages("others", 4, 2);
  return async () => {
    process.chdir(before);
    await rm(work, { recursive: true });
  };
});

const networks = ["xception", "xception --no-residual"];
const settings = ["--data", "photos", "--test", "others", ...smallTraining, "--epochs", "2", "--seeds", "1"];

async function readComparison(folder: string): Promise<Comparison> {
  return JSON.parse(await readFile(join(folder, "comparison.json"), "utf8")) as Comparison;
}

/** What must not depend on when and how often the comparison was interrupted: all but times and the folder. */
async function outcome(folder: string) {
  const times = ["seconds", "imagesPerSecond", "latencyMs", "folder"];
  const json = await readFile(join(folder, "comparison.json"), "utf8");
  const table = await readFile(join(folder, "comparison.csv"), "utf8");
  const models = await Promise.all(
    ["xception-seed-0", "xception-no-residual-seed-0"].map((run) =>
      readFile(join(folder, run, "model.onnx"), "base64"),
    ),
  );
  return {
    comparison: JSON.parse(json, (key, value) => (times.includes(key) ? undefined : value)),
    // The columns `seconds` and `images_per_second` follow each other.
    table: table.split("\r\n").map((line) => line.split(",").toSpliced(8, 2)),
    models,
  };
}

describe("xception compare", () => {
  it("trains each network, tests the weights of the last epoch, and resumes where it was interrupted", async () => {
    const whole = await capture(["compare", ...networks, ...settings, "-o", "whole"]);
    expect(whole.exitCode, whole.stderr).toBe(0);
    expect(whole.stderr).toContain("[2/2] xception --no-residual, seed 0; about ");
    expect(whole.stdout).toMatch(/xception – xception --no-residual/);
    expect(whole.stdout).toMatch(/Residual connections +│ xception: .* points/);
    expect(whole.stderr).toContain("Wrote comparison.json, comparison.csv, report.html into whole");
    const comparison = await readComparison("whole");
    for (const { name, runs, latencyMs } of comparison.networks) {
      const [{ history, correct, top1 }] = runs as [Comparison["networks"][number]["runs"][number]];
      expect(history, name).toHaveLength(2);
      expect(correct).toHaveLength(8);
      expect(top1).toBe(history[1]!.validationAccuracy);
      expect(correct.filter(Boolean)).toHaveLength(8 * top1);
      expect(latencyMs).toBeGreaterThan(0);
    }

    const interruption = new AbortController();
    const stderr: string[] = [];
    const stopped = await capture(["compare", ...networks, ...settings, "-o", "resumed"], {
      signal: interruption.signal,
      stderr: (text) => {
        stderr.push(text);
        if (text.startsWith("Training xception") && stderr.some((line) => line.includes("[2/2]"))) interruption.abort();
      },
    });
    expect(stopped.exitCode).toBe(1);
    expect(stderr.join("")).toContain(
      "compare: it was stopped in the run of xception --no-residual with seed 0; everything so far is in resumed. To resume, run the same command again.",
    );
    const other = await capture(["compare", ...networks, ...settings, "--epochs", "3", "-o", "resumed"]);
    expect(other.exitCode).toBe(2);
    expect(other.stderr).toMatch(
      /option --output: the folder contains another comparison.*Resume that one, or choose another folder/,
    );
  });

  it("ends as if it had never been interrupted, wherever it is killed", async () => {
    const words = ["compare", ...networks, ...settings, "-o", "killed"];
    // In the first run, after it, and in the middle of the second.
    for (const when of [/^epoch 1\/2/m, /^\[2\/2\]/m, /^\[2\/2\].*^epoch 1\/2/ms]) {
      const { signal, stderr } = await runProcess(words, (child) => child.kill("SIGKILL"), when);
      expect(signal, stderr).toBe("SIGKILL");
      // Also before the first run is complete.
      const other = await capture([...words, "--learning-rate", "0.5"]);
      expect(other.exitCode).toBe(2);
      expect(other.stderr).toContain("the folder contains another comparison");
    }
    const model = await stat("killed/xception-seed-0/model.onnx");
    const resumed = await capture(words);
    expect(resumed.exitCode, resumed.stderr).toBe(0);
    expect(resumed.stderr).toContain("[1/2] xception, seed 0\ncomplete\n");
    expect((await stat("killed/xception-seed-0/model.onnx")).mtimeMs).toBe(model.mtimeMs);
    expect(await outcome("killed")).toEqual(await outcome("whole"));
  });

  it("gives networks as much time as the first by their epochs", async () => {
    const flags = ["--match", "seconds", "-o", "timed", "--json"];
    const { exitCode, stdout, stderr } = await capture(["compare", ...networks, ...settings, ...flags]);
    expect(exitCode, stderr).toBe(0);
    const { command, speeds } = JSON.parse(await readFile("timed/speeds.json", "utf8"));
    expect(command).toContain("--match seconds");
    const [first, second] = (JSON.parse(stdout) as Comparison).networks;
    expect(first!.epochs).toBe(2);
    expect(second!.epochs).toBe(Math.max(1, Math.round((2 * speeds[second!.name]) / speeds.xception)));

    // The speeds of another comparison, which was stopped before its first run, are measured again.
    await rm("timed/comparison.json");
    const other = await capture(["compare", "xception", "xception --width 0.25", ...settings, ...flags]);
    expect(other.stderr).toContain("measuring the speed of xception --width 0.25\n");
  });

  it.each([
    [["xception"], "argument networks: there is nothing to compare"],
    [["xception", "xception  "], "argument networks: a network is named twice"],
    [["xception", "lenet"], 'network "lenet": there is no such architecture'],
    [["xception", "xception --depth 3"], "network \"xception --depth 3\": unknown option '--depth'"],
    [["xception", "xception --width 99"], 'network "xception --width 99", option --width: this value is not allowed'],
    [["xception", "inception-v3 --no-residual"], "this does not go with architecture inception-v3"],
    [["xception", "--ablation", "residual"], "option --ablation: it names the networks, and so do the arguments"],
    [["--demo"], "option --demo: this cannot be set together with option --data"],
  ])("refuses %j", async (words, message) => {
    const { exitCode, stderr } = await capture(["compare", ...words, "--data", "photos", "-o", "refused"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
  });

  it("leaves nothing behind if a network for the demo is refused", async () => {
    const { exitCode, stderr } = await capture(["compare", "xception", "lenet", "--demo", "-o", "refused-demo"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('network "lenet": there is no such architecture');
    await expect(stat("refused-demo")).rejects.toThrow("ENOENT");
  });
});

describe("networks to compare", () => {
  const shared = [{ source: "test", values: { imageSize: 75, width: 0.25 }, where: String }];
  const specs = parseNetworks(["xception", "inception-v3", "xception --intermediate-activation relu"], shared);

  it("have the shared settings, and their own first", () => {
    expect(specs.map(({ resolved }) => resolved.settings.architecture)).toEqual([
      "xception",
      "inception-v3",
      "xception",
    ]);
    expect(specs.map(({ resolved }) => resolved.settings.width)).toEqual([0.25, 0.25, 0.25]);
    expect(specs[2]!.resolved.settings.intermediateActivation).toBe("relu");
  });

  it.each(["parameters", "multiplications"] as const)("can be made equal in %s by their width", (match) => {
    const sizes = matchWidths(specs, match, 5).map(({ resolved }) => {
      const network = networkToCompare(resolved.settings, 5);
      return match === "parameters"
        ? countParameters(networkWeights(network)).total
        : networkCost(network).total.multiplications;
    });
    for (const size of sizes) expect(size / sizes[0]!).toBeCloseTo(1, 1);
    expect(sizes[2]).toBe(sizes[0]);
  });

  it("have the chosen widths among their conditions", async () => {
    const flags = { output: "widths", data: "photos", match: "parameters", imageSize: 75 } as const;
    const io = {
      ...{ stdin: async () => new Uint8Array(), stdout: () => {}, stderr: () => {}, isTTY: false },
      signal: new AbortController().signal,
    };
    const request = await comparisonRequest(["xception --width 0.25", "inception-v3"], flags, [], io);
    const width = request.specs[1]!.resolved.settings.width;
    expect(request.setup).toContainEqual({
      name: "Widths",
      value: `xception --width 0.25: 0.25; inception-v3: ${Number(width.toPrecision(4))}`,
    });
  });

  it("are judged by the paper's findings about them", () => {
    expect(claimsAbout(specs)).toMatchObject([
      { better: "xception", worse: "inception-v3", measure: "accuracy" },
      { better: "inception-v3", worse: "xception", measure: "speed" },
      { better: "xception", worse: "xception --intermediate-activation relu", measure: "accuracy" },
    ]);
    expect(claimsAbout(specs.slice(1))).toEqual([]);
  });
});
