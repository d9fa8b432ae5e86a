import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeKerasWeights } from "../../src/formats/keras/writer.ts";
import { initializeWeights } from "../../src/graph/initialize.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { smallModel } from "../model/small-model.ts";
import { capture } from "./capture.ts";

let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-verify-cli-"));
  const model = smallModel();
  await writeFile(at("model.onnx"), encodeModel(model));
  const bias = floatTensor([3], Float32Array.of(0.5, 0, 0));
  const biased = new Map([...model.weights, ["predictions/bias", bias]]);
  await writeFile(at("biased.onnx"), encodeModel({ ...model, weights: biased }));
  await writeFile(at("other.onnx"), encodeModel({ ...model, weights: initializeWeights(model.network) }));
});
afterAll(() => rm(folder, { recursive: true }));

describe("xception verify MODEL", () => {
  it("prints a table, or JSON", async () => {
    const command = ["verify", at("model.onnx"), "--runtimes", "cpu,wasm"];
    const { exitCode, stdout, stderr } = await capture(command);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toBe(`${at("model.onnx")}: xception 71×80×3, images: synthetic`);
    expect(lines.at(-1)).toBe("All runtimes agree with the reference.");
    const json = await capture([...command, "--json"]);
    expect({ exitCode: json.exitCode, stderr: json.stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(JSON.parse(json.stdout)).toMatchObject({
      network: "xception",
      runtimes: [
        { runtime: "cpu", passed: true },
        { runtime: "wasm", passed: true },
      ],
      passed: true,
    });
  });

  it("takes flags that say which network weights alone are for", async () => {
    await writeFile(at("model.weights.h5"), await writeKerasWeights(smallModel()));
    const flags = ["--input-shape", "71x80x3", "--classes", "3", "--width", "0.05", "--middle-flow-repeats", "1"];
    const command = ["verify", at("model.weights.h5"), "--reference", at("model.onnx"), "--runtimes", "cpu", "--json"];
    const { exitCode, stdout } = await capture([...command, ...flags]);
    expect(exitCode).toBe(0);
    const [{ blocks, probabilities, file }] = JSON.parse(stdout).runtimes;
    expect(blocks.map(({ layer }: { layer: string }) => layer)).toContain("block7_sepconv2_act");
    expect(probabilities.passed).toBe(true);
    expect(file).toBeUndefined();
    const without = await capture(command);
    expect(without.exitCode).toBe(1);
    expect(without.stderr).toContain('model.weights.h5": they are not the weights of this network; missing: ');
  });

  it("fails beyond the tolerance, and names the first block", async () => {
    const { exitCode, stdout, stderr } = await capture([
      "verify",
      at("model.onnx"),
      ...["--reference", at("other.onnx"), "--runtimes", "cpu"],
    ]);
    expect(exitCode).toBe(1);
    expect(stdout).toContain("Not in agreement with the reference: cpu.");
    expect(stderr).toMatch(
      /model\.onnx" on cpu: it differs from the reference from "block1_conv2_act" on; received \d.*; expected at most 0\.001 of its standard deviation\.\n$/,
    );
    const narrow = await capture(["verify", at("model.onnx"), "--runtimes", "cpu", "--tolerance", "1e-12"]);
    expect(narrow).toMatchObject({ exitCode: 1 });
    const biased = await capture(["verify", at("model.onnx"), "--reference", at("biased.onnx"), "--runtimes", "cpu"]);
    expect(biased.exitCode).toBe(1);
    expect(biased.stderr).toMatch(
      /model\.onnx" on cpu: the probabilities differ from the reference; received 0\.\d+; expected at most 0\.0001\.\n$/,
    );
  });

  it.each([
    [["verify"], "verify: there is nothing to verify; expected a model, or --golden FILE."],
    [
      ["verify", "m.onnx", "--golden", "v.json"],
      "verify: a model cannot be combined with --golden; expected a model, or --golden FILE. To compare the model with the " +
        "values of a file, use --reference FILE.",
    ],
    [
      ["verify", "--golden", "v.json", "--runtimes", "cpu"],
      "option --runtimes: it needs a model; expected xception verify MODEL.",
    ],
    [
      ["verify", "m.onnx", "--runtimes", "cpu,gpu"],
      'option --runtimes: this value is not allowed; received "cpu,gpu"; expected a list, each one of cpu, wasm, webgpu, cuda, tensorrt, dml, coreml.',
    ],
  ])("refuses %j", async (command, message) => {
    expect(await capture(command)).toEqual({ exitCode: 2, stdout: "", stderr: `error: ${message}\n` });
  });
});
