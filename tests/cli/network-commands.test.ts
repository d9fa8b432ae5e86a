import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { networkCost } from "../../src/graph/cost.ts";
import { alignedXception } from "../../src/models/aligned/network.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { describeCost } from "../../src/report/cost.ts";
import { summarize, summaryJson } from "../../src/report/summary.ts";
import { capture } from "./capture.ts";

const formats = join(root, "tests/golden/formats");

describe("flags that describe a network", () => {
  it("mean the defaults when there are none", async () => {
    const { stdout } = await capture(["summary", "--json"]);
    expect(JSON.parse(stdout)).toEqual(summaryJson(xception()));
  });

  it("reach every option of the network", async () => {
    const { exitCode, stdout } = await capture([
      ..."summary --json --variant tutorial --input-shape 96x133x4 --classes 7 --classifier-activation none".split(" "),
      ..."--width 0.25 --dropout 0.5 --fc-units 40,30 --no-residual --intermediate-activation elu".split(" "),
      ..."--middle-flow-repeats 2 --seed 9".split(" "),
    ]);
    const expected = xception({
      variant: "tutorial",
      inputShape: [96, 133, 4],
      classes: 7,
      classifierActivation: "none",
      width: 0.25,
      dropout: 0.5,
      fcUnits: [40, 30],
      residual: false,
      intermediateActivation: "elu",
      middleFlowRepeats: 2,
      seed: 9,
    });
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual(summaryJson(expected));
  });

  it("choose a network of timm", async () => {
    const flags = "summary --json --architecture xception71 --input-shape 32x45x3 --classes 7 --width 0.25".split(" ");
    const { stdout } = await capture(flags);
    const options = { variant: "71", inputShape: [32, 45, 3], classes: 7, width: 0.25 } as const;
    expect(JSON.parse(stdout)).toEqual(summaryJson(alignedXception(options)));
    expect(
      await capture(["summary", "xception71 --width 0.25", ..."--json --input-shape 32x45x3 --classes 7".split(" ")]),
    ).toMatchObject({ stdout });
    const { exitCode, stderr } = await capture(["summary", "--architecture", "xception41", "--variant", "tutorial"]);
    expect({ exitCode, stderr }).toMatchInlineSnapshot(`
      {
        "exitCode": 2,
        "stderr": "error: option --variant: this does not go with architecture xception41; received "tutorial"; expected architecture xception or legacy_xception.
      ",
      }
    `);
  });

  it("take off the top and pool", async () => {
    const { stdout } = await capture(["summary", "--json", "--no-top", "--pooling", "max"]);
    expect(JSON.parse(stdout)).toEqual(summaryJson(xception({ includeTop: false, pooling: "max" })));
  });
});

describe("summary and cost", () => {
  it("print text of 100 columns into a pipe, of the terminal's width otherwise", async () => {
    const network = xception();
    const cost = networkCost(network);
    expect((await capture(["summary"])).stdout).toBe(`${summarize(network, { width: 100 })}\n`);
    expect((await capture(["summary"], { columns: 80 })).stdout).toBe(`${summarize(network, { width: 80 })}\n`);
    expect((await capture(["cost"])).stdout).toBe(`${describeCost(cost, { width: 100 })}\n`);
    expect((await capture(["cost"], { columns: 120 })).stdout).toBe(`${describeCost(cost, { width: 120 })}\n`);
  });

  it("cost compares architectures with flags, and files, side by side", async () => {
    const small = join(formats, "small.keras");
    const words = ["xception", "xception --width 0.5", "inception-v3", small];
    const { exitCode, stdout } = await capture(["cost", ...words]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/│ xception +│ 22,910,480 │ 8\.36 G │ 16\.7 G │ +35\.\d M │ +264\.28 MB │/);
    expect(stdout).toMatch(/│ xception --width 0\.5 +│ +6,402,376 │ 2\.16 G │ 4\.32 G │/);
    expect(stdout).toMatch(/│ inception-v3 +│ 23,851,784 │ 5\.71 G │ 11\.4 G │ +8\.97 M │/);
    const json = JSON.parse((await capture(["cost", "xception", small, "--json"])).stdout);
    expect(json[0]).toMatchObject({ name: "xception", multiplications: 8357403496, flops: 16714806992 });
    expect(json[1].name).toBe(small);
    const wrong = await capture(["cost", "xception", "xception --widht 3"]);
    expect(wrong.exitCode).toBe(2);
    expect(wrong.stderr).toContain("argument MODEL: unknown option '--widht'");
  });

  it("print nothing but JSON with --json", async () => {
    const { exitCode, stdout, stderr } = await capture(["cost", "--json", "--input-shape", "150x150x3"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual(networkCost(xception({ inputShape: [150, 150, 3] })));
  });

  it("count what is in a file of any kind", async () => {
    const { exitCode, stdout, stderr } = await capture(["cost", join(formats, "small.keras"), "--json"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    // 3×3×3×8, 3×3×8 + 8×16, 3×3×16 + 16×16, 8×16, 16×5.
    expect(JSON.parse(stdout)).toMatchObject({
      name: "small_xception",
      total: { weights: 216 + 200 + 400 + 128 + 80 },
    });
  });

  it("refuse bare weights, graphs of other tools, and flags beside a file", async () => {
    const bare = await capture(["cost", join(formats, "small.weights.h5")]);
    expect(bare.exitCode).toBe(1);
    expect(bare.stderr).toContain("the file holds only weights, without their network");
    const graph = await capture(["cost", join(formats, "torch-plain.onnx")]);
    expect(graph.exitCode).toBe(1);
    expect(graph.stderr).toContain(
      "it is another tool's graph of operators, without layers; received \"ONNX graph input",
    );
    expect(graph.stderr).toContain("expected a model with layers. `xception summary` lists its operators.");
    const both = await capture(["plot", join(formats, "small.keras"), "--width", "0.5", "-o", "small.svg"]);
    expect(both.exitCode).toBe(2);
    expect(both.stderr).toContain("argument MODEL: the file determines the network;");
  });
});
