import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { renderPng } from "../../apps/cli/output-file.ts";
import { builtProgram } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { UsageError } from "../../src/base/errors.ts";
import { input, relu } from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { plotDot } from "../../src/report/plot/dot.ts";
import { layoutLimits, plotJob, plotSvg } from "../../src/report/plot/plot.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { branches, branchesModel } from "../model/branches.ts";
import { capture } from "./capture.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-plot-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("plot", () => {
  it("writes an .svg and says so on stderr", async () => {
    const file = join(folder, "model.svg");
    expect(await capture(["plot", "-o", file])).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: `Wrote ${file}: 134 layers of xception\n`,
    });
    expect(await readFile(file, "utf8")).toBe(await plotSvg(xception()));
  });

  it("draws the network in a file", async () => {
    const source = join(root, "tests/golden/formats/small.keras");
    const file = join(folder, "small.dot");
    const { exitCode } = await capture(["plot", source, "-o", file]);
    expect(exitCode).toBe(0);
    const text = await readFile(file, "utf8");
    for (const name of ["block1_conv1", "sep1", "sep2", "shortcut", "predictions"]) expect(text).toContain(name);
    expect(text).toContain("10×9×16 → 16");
  });

  it("writes a .dot with every flag, and JSON on stdout", async () => {
    const file = join(folder, "model.dot");
    const flags = "--rankdir LR --no-shapes --no-names --dpi 60 --variant tutorial --middle-flow-repeats 1".split(" ");
    const { exitCode, stdout, stderr } = await capture(["plot", "--output", file, "--json", ...flags]);
    const shown = xception({ variant: "tutorial", middleFlowRepeats: 1 });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({ file, format: "dot", layers: shown.layers.length });
    const options = { rankdir: "LR", shapes: false, names: false, dpi: 60 } as const;
    expect(await readFile(file, "utf8")).toBe(plotDot(shown, options));
  });

  it("writes a .png of the size that --dpi asks for, with something on it", async () => {
    const file = join(folder, "model.PNG");
    await capture(["plot", "-o", file, "--dpi", "60", "--middle-flow-repeats", "1"]);
    const svg = await plotSvg(xception({ middleFlowRepeats: 1 }), { dpi: 60 });
    const [, width, height] = /<svg width="(\d+)pt" height="(\d+)pt"/.exec(svg)!.map(Number);
    const { format, ...size } = await sharp(file).metadata();
    expect(format).toBe("png");
    expect([size.width, size.height]).toEqual([width, height]);
    const { channels } = await sharp(file).stats();
    expect(Math.min(...channels.slice(0, 3).map((channel) => channel.stdev))).toBeGreaterThan(5);
  });

  it.each([
    [[], "error: required option '-o, --output <file>' not specified\n"],
    [
      ["-o", "model.gif"],
      "error: option --output: the extension does not identify a format; " +
        'received "model.gif"; expected .svg, .png, .dot.\n',
    ],
    [
      ["-o", "model.svg", "--dpi", "0"],
      'error: option --dpi: this value is not allowed; received "0"; expected a number above 0.\n',
    ],
    [
      ["-o", "model.svg", "--rankdir", "up"],
      "error: option '--rankdir <direction>' argument 'up' is invalid. Allowed choices are TB, LR.\n",
    ],
  ])("%j is wrong usage", async (flags, stderr) => {
    expect(await capture(["plot", ...flags])).toEqual({ exitCode: 2, stdout: "", stderr });
  });

  it("fails with exit 1 where it cannot write, and leaves nothing behind", async () => {
    const file = join(folder, "missing", "model.dot");
    expect(await capture(["plot", "-o", file])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `error: file "${file}": the folder ${join(folder, "missing")} does not exist. Create it first.\n`,
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("a network that is hard to lay out", () => {
  const where = 'model "branches.onnx"';

  it("is given up after a time, with the way out", async () => {
    const drawing = nodePlatform.isolate(plotJob(branches(60, 30), {}, where), { ...layoutLimits, timeMs: 1000 });
    await expect(drawing).rejects.toThrow(
      'model "branches.onnx": laying it out took longer than 1 s. Write a .dot file, which needs no layout.',
    );
  });

  it("is written as .dot all the same", async () => {
    const dot = plotDot(branches(1000, 30));
    expect(dot.match(/^ *"branch_\d+_\d+" \[label/gm)).toHaveLength(30_000);
  });

  it("does not outlive Ctrl-C", async () => {
    await writeFile(join(folder, "branches.onnx"), branchesModel(60, 30));
    const command = ["plot", join(folder, "branches.onnx"), "-o", join(folder, "branches.svg")];
    const child = spawn(process.execPath, [builtProgram(root), ...command], { stdio: "ignore" });
    await sleep(3000);
    expect(child.exitCode).toBe(null);
    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([null, "SIGINT"]);
    expect(await readdir(folder)).toEqual(["branches.onnx"]);
  });

  it("keeps every text inside its box, whatever fonts the machine has", async () => {
    const names = ["MWMWMWMWMWMWMWMWMWMW", "block14_sepconv2_act_of_a_long_name", "猫猫猫猫猫猫猫猫猫猫猫猫", "x"];
    const inputs = names.map((name) => relu(input([150, 150, 728]), { name }));
    for (const each of inputs) {
      const svg = await plotSvg(network("n", each));
      const group = /<g id="[^"]*" class="node">\n<title>(?!input)[\s\S]*?<\/g>/.exec(svg)![0];
      const places = [...group.matchAll(/(-?[\d.]+),-?[\d.]+/g)].map(([, x]) => Number(x));
      const [left, right] = [Math.min(...places), Math.max(...places)];
      for (const [text, x] of group.matchAll(/<text .*? x="([^"]*)".*?<\/text>/g)) {
        expect(Number(x)).toBeCloseTo((left + right) / 2, 1);
        const moved = text.replace(/ x="[^"]*" y="[^"]*"/, ' x="600" y="50"');
        const page = `<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="100">${moved}</svg>`;
        const { info } = await sharp(Buffer.from(page)).trim().toBuffer({ resolveWithObject: true });
        expect(info.width, text).toBeLessThan(right - left);
      }
    }
  });

  it("may have names with control characters", async () => {
    const from = input([8, 8, 3], { name: "in\u0001put" });
    const hostile = network("n\u0002", relu(from, { name: 're\u001b]0;"lu' }));
    const svg = await plotSvg(hostile);
    expect(svg).toContain("re\\u001b]0;&quot;lu");
    expect(svg).not.toMatch(/[^\P{Cc}\n]/u);
  });
});

describe("renderPng", () => {
  it("refuses an image that is larger than a PNG can be and says what would do", async () => {
    const refusal = renderPng('<svg width="65534pt" height="100pt"></svg>', 300);
    await expect(refusal).rejects.toThrow(UsageError);
    await expect(refusal).rejects.toThrow(
      "option --dpi: the image would have 65534×100 pixels; received 300; " +
        "expected at most 150 for a .png of this network. An .svg has no such limit.",
    );
  });
});
