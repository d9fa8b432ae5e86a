import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { FileError } from "../../src/base/errors.ts";
import { openWeightsFile } from "../../src/model/formats.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { loadWeights, openModel } from "../../src/model/open-weights.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { readingFiles } from "./reading-files.ts";
import { smallModel } from "./small-model.ts";

const formats = join(root, "tests/golden/formats");

test("our own model file is opened with everything in it", async () => {
  const { network, ...model } = smallModel();
  const opened = await openModel(encodeModel(model), nodePlatform);
  expect(opened).toMatchObject({ ...model, format: "model file", notes: [] });
  expect(opened.network).toEqual(network);
  expect(opened.report).toEqual({
    by: "name",
    taken: 110,
    initialized: [],
    missing: [],
    unexpected: [],
    wrongShape: [],
  });
});

test("its weights go into a network with another number of classes, if that is allowed", async () => {
  const model = smallModel();
  const other = smallModel({ classes: 7 }).network;
  const bytes = encodeModel(model);
  await expect(loadWeights(other, bytes, nodePlatform)).rejects.toThrow("predictions/kernel (104×3 instead of 104×7)");
  const { weights, report } = await loadWeights(other, bytes, nodePlatform, { allowMissing: "predictions/*" });
  expect(report.taken).toBe(108);
  expect(weights.get("block1_conv1/kernel")).toEqual(model.weights.get("block1_conv1/kernel"));
});

describe("refuses", () => {
  const refusal = async (source: string | Uint8Array) => {
    const error: unknown = await openModel(source, nodePlatform).catch((cause: unknown) => cause);
    return (error as Error).message;
  };

  test("what is in no format that we know", async () => {
    expect(await refusal(new TextEncoder().encode("GIF89a-picture"))).toMatchInlineSnapshot(
      `"file of 14 bytes: unknown file format; received "the bytes 47 49 46 38 39 61 2d 70 at offset 0"; expected PyTorch (.pth, .pt), Keras (.keras, .h5, .hdf5, .weights.h5), ONNX (.onnx), safetensors of timm (.safetensors), TensorFlow.js (model.json)."`,
    );
    expect(await refusal(new Uint8Array())).toMatchInlineSnapshot(
      `"file of 0 bytes: the file is empty; expected PyTorch (.pth, .pt), Keras (.keras, .h5, .hdf5, .weights.h5), ONNX (.onnx), safetensors of timm (.safetensors), TensorFlow.js (model.json)."`,
    );
  });

  test("weights alone where a model is needed", async () => {
    expect(await refusal(new Uint8Array(readFileSync(join(formats, "small.weights.h5"))))).toMatchInlineSnapshot(
      `"file of 53208 bytes: the file holds only weights, without their network; received "weights.h5"; expected a whole model. Name the network: convert has flags for it; in code, use loadWeights."`,
    );
  });

  test("a source whose bytes moved to the thread that opened it first", async () => {
    const source = await weightsSource(join(formats, "small.keras"), nodePlatform);
    expect((await openWeightsFile(source)).format).toBe("keras");
    const again: unknown = await openWeightsFile({ ...source, where: "the file" }).catch((cause: unknown) => cause);
    expect(again).toMatchInlineSnapshot(
      `[UsageError: the file: this source was opened before. Make another one with weightsSource.]`,
    );
  });

  test("a missing file", async () => {
    await expect(openModel(join(formats, "none.keras"), nodePlatform)).rejects.toThrow(FileError);
  });
});

describe("a file reads its parts from its own folder", () => {
  test("by their names", async () => {
    const { readBeside } = await weightsSource(join(formats, "small.json"), nodePlatform);
    expect((await readBeside("small.keras")).length).toBeGreaterThan(1000);
  });

  test.each(["../small.keras", "/etc/passwd", "a/../../b", "C:\\x", "https://example.org/x", "", "./x"])(
    "and never %j",
    async (name) => {
      const { readBeside } = await weightsSource(
        "x/model.json",
        readingFiles(async () => new Uint8Array()),
      );
      await expect(readBeside(name)).rejects.toThrow(
        `file "x/model.json": it refers to a file outside its folder; received ${JSON.stringify(name)}; expected a name relative to its own folder.`,
      );
    },
  );

  test("which bytes do not have", async () => {
    const { readBeside } = await weightsSource(new Uint8Array(3), nodePlatform);
    await expect(readBeside("x.bin")).rejects.toThrow(
      'file of 3 bytes: its weights are in other files, whose folder is unknown; received "x.bin". Open it by its path, or together with them.',
    );
  });
});
