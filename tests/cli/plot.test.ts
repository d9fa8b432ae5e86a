import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { renderPng } from "../../apps/cli/output-file.ts";
import { root } from "../../scripts/project-root.mjs";
import { UsageError } from "../../src/base/errors.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { plotDot } from "../../src/report/plot/dot.ts";
import { plotSvg } from "../../src/report/plot/plot.ts";
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
    const network = xception({ variant: "tutorial", middleFlowRepeats: 1 });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({ file, format: "dot", layers: network.layers.length });
    const options = { rankdir: "LR", shapes: false, names: false, dpi: 60 } as const;
    expect(await readFile(file, "utf8")).toBe(plotDot(network, options));
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
