import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "../tasks/images.ts";
import { capture } from "./capture.ts";

let folder: string;
const at = (name: string) => join(folder, name);
/** A device that this operating system's engine does not know. */
const missing = process.platform === "darwin" ? "dml" : "coreml";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-device-"));
  await writeFile(at("model.onnx"), encodeModel(smallModel()));
  const { data } = noise(1, [71, 80, 3], 1);
  await writeFile(at("a.png"), await nodePlatform.images.encodePng({ width: 80, height: 71, data }));
});
afterAll(() => rm(folder, { recursive: true }));

describe("--device", () => {
  it("computes there, with the same answer", async () => {
    const answers = ["cpu", "wasm"].map(async (device) => {
      const { exitCode, stdout } = await capture([
        "classify",
        at("model.onnx"),
        at("a.png"),
        "--device",
        device,
        "--json",
      ]);
      expect(exitCode).toBe(0);
      return JSON.parse(stdout)[0].predictions as { label: string; probability: number }[];
    });
    const [native, wasm] = await Promise.all(answers);
    const close = native!.map((each) => ({ ...each, probability: expect.closeTo(each.probability, 5) }));
    expect(wasm).toEqual(close);
  });

  it("says what is there where one is not", async () => {
    const { exitCode, stderr } = await capture(["classify", at("model.onnx"), at("a.png"), "--device", missing]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`device "${missing}": ONNX Runtime cannot compute on it here`);
    expect(stderr).toContain(
      "expected cpu or wasm, which run everywhere, or another device that `xception doctor` finds",
    );
  });

  it("is one that the engine may know", async () => {
    const { exitCode, stderr } = await capture(["evaluate", at("model.onnx"), folder, "--device", "gpu"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("Allowed choices are cpu, wasm, webgpu, cuda, tensorrt, dml, coreml.");
  });
});
