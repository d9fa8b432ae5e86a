import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/model/model.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { withTemperature } from "../../src/model/temperature.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "../tasks/images.ts";
import { capture } from "./capture.ts";

const folder = mkdtempSync(join(tmpdir(), "quantize-"));
const at = (...names: readonly string[]) => join(folder, ...names);

async function writeImage(path: string, data: Uint8Array): Promise<void> {
  writeFileSync(path, await nodePlatform.images.encodePng({ width: 80, height: 71, data }));
}

beforeAll(async () => {
  writeFileSync(at("model.onnx"), encodeModel(smallModel()));
  let seed = 0;
  for (const label of ["cat", "owl"]) {
    mkdirSync(at("photos", label), { recursive: true });
    for (const name of ["1.png", "2.png", "3.png"]) {
      await writeImage(at("photos", label, name), noise(1, [71, 80, 3], seed++).data);
    }
  }
  mkdirSync(at("black"));
  await writeImage(at("black", "1.png"), new Uint8Array(71 * 80 * 3));
  writeFileSync(at("photos", "owl", "broken.png"), "not an image");
});

/** A model whose classes differ from image to image by so little that any rounding changes some of them. */
async function undecided(): Promise<Model> {
  const images = Array.from({ length: 6 }, (_, seed) => ({
    width: 80,
    height: 71,
    data: noise(1, [71, 80, 3], seed).data,
  }));
  const { network, ...model } = smallModel();
  await using classifier = await loadClassifier(encodeModel(model), { platform: nodePlatform });
  const logs = (await classifier.probabilities(images)).map((row) => row.map(Math.log));
  const factor = 1e4;
  const weights = new Map(withTemperature(network, model.weights, 1 / factor));
  const bias = weights.get("predictions/bias")!;
  const means = bias.data.map((_, index) => logs.reduce((sum, row) => sum + row[index]!, 0) / logs.length);
  weights.set("predictions/bias", { ...bias, data: bias.data.map((value, index) => value - factor * means[index]!) });
  return { ...model, network, weights };
}

const lenient = ["--min-agreement", "0", "--max-drop", "100", "--allow-slower", "--reduce-range"];
const quantize = (...flags: readonly string[]) =>
  capture(["quantize", at("model.onnx"), "--calibrate", at("photos"), ...lenient, ...flags]);

describe("xception quantize", () => {
  it("writes a model beside the float32 one, its card, a report, and JSON", async () => {
    const { exitCode, stdout, stderr } = await quantize("--json", "--images", "5", "--report", at("report.html"));
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining("comparing: ")]);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      file: at("model_int8.onnx"),
      passed: true,
      failures: [],
      calibration: { method: "mse", seed: 0 },
      weightBits: 7,
      comparedOnCalibration: false,
    });
    expect(result.change.accuracy.images).toBe(result.change.images);
    const { labels, quantization, provenance } = decodeModel(readFileSync(at("model_int8.onnx")));
    expect([labels, quantization?.weightBits]).toEqual([["cat", "dog", "owl"], 7]);
    expect(provenance).toMatchObject({ epochs: 3, quantization: { calibration: result.calibration } });
    expect(readFileSync(at("model_int8.onnx.md"), "utf8")).toContain("int8");
    const page = readFileSync(at("report.html"), "utf8");
    for (const text of ["Quantization report", "block5", "McNemar", "ONNX Runtime"]) expect(page).toContain(text);

    const again = await quantize("--images", "5");
    expect([again.exitCode, again.stderr]).toEqual([
      2,
      `error: option --output: the file already exists; received "${at("model_int8.onnx")}". Add --overwrite to replace it.\n`,
    ]);
    const classified = await capture(["classify", at("model_int8.onnx"), at("photos", "cat", "1.png"), "--json"]);
    expect(JSON.parse(classified.stdout)[0].predictions).toHaveLength(3);
    const evaluated = await capture(["evaluate", at("model_int8.onnx"), at("photos"), "--json"]);
    expect(JSON.parse(evaluated.stdout).images).toBe(6);
    const summary = await capture(["summary", at("model_int8.onnx")]);
    expect([summary.exitCode, summary.stdout]).toEqual([0, expect.stringContaining("block5_sepconv1")]);
    const embedded = await capture(["embed", at("model_int8.onnx"), at("photos"), "-o", at("embeddings.csv")]);
    expect(embedded.exitCode).toBe(0);
    const twice = await capture(["quantize", at("model_int8.onnx"), "--calibrate", at("photos"), "-o", at("a.onnx")]);
    expect(twice.stderr).toContain("quantize: the model's weights are int8 already. Quantize the float32 model.");
    const trained = await capture(["train", at("photos"), "-o", at("run"), "--weights", at("model_int8.onnx")]);
    expect([trained.exitCode, trained.stderr]).toEqual([1, expect.stringContaining("so that it cannot be trained")]);
  });

  it("writes no file if the model breaks its limits, and says which block hurts", async () => {
    writeFileSync(at("undecided.onnx"), encodeModel(await undecided()));
    // Limits from a black image cut off much of the others.
    const flags = [
      "--test",
      at("photos"),
      "--min-agreement",
      "100",
      "--max-drop",
      "0",
      "--allow-slower",
      "--reduce-range",
    ];
    const argv = ["quantize", at("undecided.onnx"), "--calibrate", at("black"), ...flags, "-o", folder, "--overwrite"];
    const before = readFileSync(at("model_int8.onnx"));
    const { exitCode, stdout, stderr } = await capture(argv);
    expect(exitCode).toBe(1);
    expect(stdout).toContain("The model does not meet its limits. It predicts the same class for ");
    expect(stdout).toMatch(/block\d +│ +\d │ +[\d.]+ │ float32/);
    expect(stderr).toContain(
      "No file was written. Train it for int8 (xception train --quantization-aware), calibrate with",
    );
    expect(readFileSync(at("model_int8.onnx")).equals(before)).toBe(true);
  });

  it("explains mistakes", async () => {
    const errorOf = async (...argv: readonly string[]) => (await capture(["quantize", ...argv])).stderr;
    expect(await errorOf(at("model.onnx"))).toContain("required option '--calibrate <folder>' not specified");
    expect(await errorOf(at("model.onnx"), "--calibrate", at("photos"), "-o", at("model.keras"))).toContain(
      "option --output: int8 weights are stored in ONNX files only",
    );
    mkdirSync(at("empty"));
    expect(await errorOf(at("model.onnx"), "--calibrate", at("none"), "-o", at("a.onnx"))).toBe(
      `error: folder "${at("none")}": there is no such folder.\n`,
    );
    expect(await errorOf(at("model.onnx"), "--calibrate", at("empty"), "-o", at("a.onnx"))).toContain(
      "it contains no images",
    );
    expect(existsSync(at("a.onnx"))).toBe(false);
  });
});
