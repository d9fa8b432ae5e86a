import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { folderDataset } from "../../src/data/dataset.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { describeEvaluation } from "../../src/report/evaluation.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "../tasks/images.ts";
import { capture } from "./capture.ts";

const model = smallModel();
let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-evaluate-"));
  await writeFile(at("model.onnx"), encodeModel(model));
  let seed = 0;
  for (const [set, classes] of [
    ["photos", ["cat", "dog", "owl"]],
    ["birds", ["owl", "jay"]],
  ] as const) {
    for (const label of classes) {
      await mkdir(at(set, label), { recursive: true });
      for (const name of ["1.png", "2.png"]) {
        const { data } = noise(1, [71, 80, 3], ++seed);
        await writeFile(at(set, label, name), await platform.images.encodePng({ width: 80, height: 71, data }));
      }
    }
  }
  for (let index = 0; index < 7; index++) await writeFile(at("photos", "cat", `broken${index}.png`), "no image");
  await mkdir(at("empty"));
});
afterAll(() => rm(folder, { recursive: true }));

/** What the library says of the folder. */
async function result() {
  return evaluate(model, folderDataset(await platform.files.list(at("photos"))), { platform, batchSize: 2 });
}

describe("xception evaluate", () => {
  it("gives JSON, progress and what it skipped going to stderr", async () => {
    const command = ["evaluate", at("model.onnx"), at("photos"), "--batch-size", "2", "--json"];
    const { exitCode, stdout, stderr } = await capture(command);
    expect(exitCode).toBe(0);
    const { evaluation, skipped } = await result();
    expect(skipped).toHaveLength(7);
    expect(JSON.parse(stdout)).toEqual({ ...evaluation, skipped });
    expect(stderr.replaceAll(folder, "…")).toMatchInlineSnapshot(`
      "evaluating: 2/13
      evaluating: 4/13
      evaluating: 6/13
      skipped: image "…/photos/cat/broken0.png": this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP.
      skipped: image "…/photos/cat/broken1.png": this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP.
      skipped: image "…/photos/cat/broken2.png": this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP.
      skipped: image "…/photos/cat/broken3.png": this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP.
      skipped: image "…/photos/cat/broken4.png": this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP.
      skipped: 2 more
      "
    `);
  });

  it("prints tables for people, as wide as the terminal", async () => {
    const { exitCode, stdout } = await capture(["evaluate", at("model.onnx"), at("photos")], { columns: 80 });
    expect(exitCode).toBe(0);
    const { evaluation, predictions } = await result();
    expect(stdout).toBe(`${describeEvaluation(evaluation, { width: 80, predictions })}\n`);
  });

  it("writes a line for each image as CSV, and a report with the worst mistakes", async () => {
    const more = ["--csv", at("answers.csv"), "--report", at("report.html"), "--top", "1,2", "--json"];
    const { exitCode, stdout } = await capture(["evaluate", at("model.onnx"), at("photos"), ...more]);
    expect(exitCode).toBe(0);
    const { predictions } = await result();
    const [header, ...lines] = (await readFile(at("answers.csv"), "utf8")).trimEnd().split("\r\n");
    expect(header).toBe("file,truth,predicted,correct,probability,truth_probability,truth_rank");
    expect(lines).toHaveLength(6);
    for (const [index, { file, truth, predicted, truthRank }] of predictions.entries()) {
      const fields = lines[index]!.split(",");
      expect(fields.slice(0, 4)).toEqual([file, truth, predicted, truth === predicted ? "1" : "0"]);
      expect(fields[6]).toBe(String(truthRank));
    }
    const topK = JSON.parse(stdout).topK;
    const among = (k: number) => predictions.filter(({ truthRank }) => truthRank <= k).length / 6;
    expect(topK).toEqual([
      { k: 1, accuracy: among(1) },
      { k: 2, accuracy: among(2) },
    ]);
    const page = await readFile(at("report.html"), "utf8");
    expect(page).toContain("model.onnx on photos");
    expect(page).toContain("The network</h2>");
    expect(page).not.toContain("What was trained");
    const words = ["xception evaluate", at("model.onnx"), at("photos"), ...more].join(" ");
    expect(page).toContain(words);
    expect(page.match(/<img src="data:image\/png/g)).toHaveLength(6);
  });

  it("works on a single one of the model's classes, and names the others", async () => {
    await mkdir(at("only", "cat"), { recursive: true });
    await cp(at("photos", "cat"), at("only", "cat"), { recursive: true });
    const { exitCode, stdout, stderr } = await capture(["evaluate", at("model.onnx"), at("only"), "--json"]);
    expect(exitCode).toBe(0);
    const { images, perClass } = JSON.parse(stdout);
    expect(perClass.map(({ support }: { support: number }) => support)).toEqual([images, 0, 0]);
    expect(stderr).toContain("note: The folder lacks 2 of the model's 3 classes: ");
  });

  it("refuses places that are none", async () => {
    const wrong = await capture(["evaluate", at("model.onnx"), at("photos"), "--top", "1,x"]);
    expect(wrong).toMatchObject({ exitCode: 2, stdout: "" });
    expect(wrong.stderr).toBe(
      'error: option --top: this value is not allowed; received "1,x"; expected a list, each a whole number from 1.\n',
    );
    const many = await capture(["evaluate", at("model.onnx"), at("photos"), "--top", "1,4"]);
    expect(many).toMatchObject({ exitCode: 2, stdout: "" });
    expect(many.stderr).toBe(
      'error: option --top: this value is not allowed; received "4"; expected a whole number from 1 to 3.\n',
    );
  });

  it.each(["--csv", "--report"])("says before the test that the file of %s cannot be written", async (flag) => {
    const { exitCode, stdout, stderr } = await capture([
      ...["evaluate", at("model.onnx"), at("photos"), flag, at("none", "answers")],
    ]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr.replaceAll(folder, "…")).toBe(
      'error: file "…/none/answers": the folder …/none does not exist. Create it first.\n',
    );
  });

  it("draws a bar on a terminal", async () => {
    const { stderr } = await capture(["evaluate", at("model.onnx"), at("photos")], { isTTY: true });
    expect(stderr).toContain("evaluating ░");
  });

  it.each([
    ["a missing model", "none.onnx", "photos", 'file "…/none.onnx": there is no such file.'],
    ["a model that is none", "photos/cat/broken0.png", "photos", 'broken0.png": unknown file format'],
    ["an empty folder", "model.onnx", "empty", 'data set "…/empty": the folder has no class folders'],
    ["a missing folder", "model.onnx", "none", 'folder "…/none": there is no such folder.'],
    ["other classes than the model's", "model.onnx", "birds", "the model does not know jay"],
  ])("says in one line what is wrong with %s", async (_, file, images, message) => {
    const { exitCode, stdout, stderr } = await capture(["evaluate", at(file), at(images)]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr.replaceAll(folder, "…")).toContain(message);
    expect(stderr.split("\n")).toHaveLength(2);
  });

  it("refuses a wrong batch size", async () => {
    const { exitCode, stderr } = await capture(["evaluate", at("model.onnx"), at("photos"), "--batch-size", "0"]);
    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      'error: option --batch-size: this value is not allowed; received "0"; expected a whole number from 1.\n',
    );
  });

  it("stops when interrupted", async () => {
    const command = ["evaluate", at("model.onnx"), at("photos")];
    const { exitCode, stderr } = await capture(command, { signal: AbortSignal.abort() });
    expect(exitCode).toBe(1);
    expect(stderr).toBe("error: loading images: it was stopped by the caller.\n");
  });
});
