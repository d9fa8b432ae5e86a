import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { bytesOf, readModel } from "./tfjs-model.ts";

const weight = { name: "a/kernel", shape: [2], dtype: "float32" };
const modelOf = (...weights: unknown[]) => ({ weightsManifest: [{ paths: ["s"], weights }] });

describe("refuses, with file and field", () => {
  const refusal = async (model: unknown, ...shards: Uint8Array[]): Promise<string> => {
    const files = Object.fromEntries(shards.map((bytes, index) => [["s", "t"][index]!, bytes]));
    const error: unknown = await readModel({ model, shards: files }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(FormatError);
    return (error as FormatError).message;
  };
  const shard = bytesOf([1, 2]);

  test.each([
    ["no JSON", new TextEncoder().encode('{"weights'), 'file "model.json", character 1: this is not JSON.'],
    [
      "no manifest",
      { format: "layers-model" },
      'file "model.json", field weightsManifest: it is missing; expected a list of 1 or more values.',
    ],
    [
      "an unknown type of numbers",
      modelOf({ ...weight, dtype: "string" }),
      'file "model.json", field weightsManifest.0.weights.0.dtype: this value is not allowed; received "string"; expected one of float32, float16, int32, bool.',
    ],
    [
      "an unknown quantization",
      modelOf({ ...weight, quantization: { dtype: "uint4", min: 0, scale: 1 } }),
      'file "model.json", field weightsManifest.0.weights.0.quantization.dtype: this value is not allowed; received "uint4"; expected one of uint8, uint16, float16.',
    ],
    [
      "a negative size",
      modelOf({ ...weight, shape: [-2, -1] }),
      'file "model.json", field weightsManifest.0.weights.0.shape.0: this value is not allowed; received -2; expected a whole number from 1.',
    ],
    [
      "sizes beyond the bytes",
      modelOf({ ...weight, shape: [1_000_000, 1_000_000] }),
      'file "model.json", s: the number of bytes does not match the weights; received 8; expected 4000000000000. Are files truncated, or from another model?',
    ],
    [
      "one file named twice",
      { weightsManifest: [{ paths: ["s", "s"], weights: [weight] }] },
      'file "model.json", field weightsManifest.0.paths.1: duplicate file; received "s".',
    ],
    [
      "a description that is none",
      { ...modelOf(weight), modelTopology: { model_config: "text" } },
      'file "model.json", field modelTopology.model_config: the description of the network is not an object; received "string".',
    ],
  ])("%s", async (_, model, message) => {
    expect(await refusal(model, shard)).toBe(message);
  });

  test("more files than any model has", async () => {
    const paths = Array.from({ length: 300_000 }, (_, index) => `s${index}`);
    expect(await refusal({ weightsManifest: [{ paths, weights: [weight] }] })).toBe(
      'file "model.json": its weights are in too many files; received 300000; expected at most 10000.',
    );
  });

  test("more bytes than the weights beside a missing file take, and sizes that no number holds", async () => {
    const two = { weightsManifest: [{ paths: ["s", "gone"], weights: [weight] }] };
    expect(await refusal(two, bytesOf([1, 2, 3]))).toBe(
      'file "model.json", s … gone: the number of bytes does not match the weights; received 12; expected less than 8. Are files truncated, or from another model?',
    );
    const huge = { ...weight, shape: new Array(8).fill(2 ** 52) };
    const vast = { weightsManifest: [{ paths: ["s", "gone"], weights: [huge] }] };
    expect(await refusal(vast, shard)).toMatch(/received 8; expected less than 6\.\d+e\+125/);
  });
});
