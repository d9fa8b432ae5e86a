import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { FileError, type XceptionError } from "../../src/base/errors.ts";
import { loadWeights } from "../../src/model/open-weights.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { noise } from "../tasks/images.ts";
import { torchXception } from "./foreign-graphs.ts";
import { withNumbersBeside } from "./onnx-with-data.ts";
import { readingFiles } from "./reading-files.ts";

const whole = new Uint8Array(readFileSync(join(root, "tests/golden/formats/torch-xception.onnx")));

const split = (change?: (place: Record<string, string>) => void) => withNumbersBeside(whole, change);

function reading(files: Readonly<Record<string, Uint8Array>>) {
  const read = async (name: string): Promise<Uint8Array> => {
    if (files[name]) return new Uint8Array(files[name]);
    throw new FileError({ where: `file "${name}"`, what: "there is no such file" });
  };
  return { ...nodePlatform, ...readingFiles(read) };
}

test("numbers in a file beside the graph are those in it", async () => {
  const platform = reading(split());
  const expected = await loadWeights(torchXception(), whole, nodePlatform);
  const { weights } = await loadWeights(torchXception(), "model.onnx", platform);
  expect([...weights]).toEqual([...expected.weights]);

  const image = { width: 80, height: 71, data: noise(1, [71, 80, 3]).data as Uint8Array };
  await using here = await loadClassifier("model.onnx", { platform });
  await using there = await loadClassifier(whole, { platform: nodePlatform });
  expect(await here.classify(image)).toEqual(await there.classify(image));
});

describe("refuses", () => {
  const messageOf = async (files: Readonly<Record<string, Uint8Array>>) =>
    loadWeights(torchXception(), "model.onnx", reading(files)).then(
      () => "",
      (error: XceptionError) => `${error.code} ${error.message}`,
    );

  test("a file that is not there, or cut short", async () => {
    const files = split();
    expect(await messageOf({ "model.onnx": files["model.onnx"] })).toMatchInlineSnapshot(
      `"FILE file "model.onnx": its weights are in another file, which cannot be read (file "model.onnx.data": there is no such file). Copy both files into one folder."`,
    );
    const data = files["model.onnx.data"].subarray(0, 20_000);
    expect(await messageOf({ ...files, "model.onnx.data": data })).toMatchInlineSnapshot(
      `"FORMAT file "model.onnx", tensor "onnx::Conv_251", field external_data: its numbers are not where they should be; received "offset 19968, length 96"; expected a part of the 20000 bytes of "model.onnx.data". Is that file cut short, or another model's? Copy both again."`,
    );
  });

  test("files elsewhere", async () => {
    for (const location of ["../secret", "/etc/passwd", "https://example.org/data", ""]) {
      const message = await messageOf(split((place) => Object.assign(place, { location })));
      expect(message).toContain(
        `FORMAT file "model.onnx": it refers to a file outside its folder; received ${JSON.stringify(location)}`,
      );
    }
  });

  test("places that cannot be", async () => {
    expect(await messageOf(split((place) => Object.assign(place, { offset: "-4" })))).toMatchInlineSnapshot(
      `"FORMAT file "model.onnx", tensor "block1.rep.0.conv1.weight", field external_data: its numbers are not where they should be; received "offset -4, length 288"; expected a part of the 31360 bytes of "model.onnx.data". Is that file cut short, or another model's? Copy both again."`,
    );
    expect(await messageOf(split((place) => Object.assign(place, { offset: "1e3x" })))).toContain("offset 1e3x");
    expect(await messageOf(split((place) => Object.assign(place, { length: "3" })))).toMatchInlineSnapshot(
      `"FORMAT file "model.onnx", tensor "block1.rep.0.conv1.weight": the stored data do not fill its shape; received "3 bytes for the shape [8, 1, 3, 3]"; expected 4 bytes of raw data for each number. The file is damaged or cut short: copy or download it again."`,
    );
  });

  test("more numbers than the files have", async () => {
    const everything = split((place) => {
      delete place.length;
      place.offset = "0";
    });
    expect(await messageOf(everything)).toMatchInlineSnapshot(
      `"FORMAT file "model.onnx", field external_data: its tensors share more data than weights do; received "1662080 bytes of tensors in 31360 bytes of files"; expected at most 4 times as much."`,
    );
  });

  test("bytes, which do not tell where the other file is", async () => {
    const error = await loadWeights(torchXception(), split()["model.onnx"], nodePlatform).catch((reason) => reason);
    expect(error.message.replace(/^file of \d+/, "file of N")).toMatchInlineSnapshot(
      `"file of N bytes: its weights are in other files, whose folder is unknown; received "model.onnx.data". Open it by its path, or together with them."`,
    );
  });
});
