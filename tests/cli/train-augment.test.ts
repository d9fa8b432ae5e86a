import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeModel } from "../../src/model/model-file.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let work: string;
const at = (name: string) => join(work, name);

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-augment-"));
  await writeImages(at("photos"), 6, 1);
});
afterAll(() => rm(work, { recursive: true }));

const show = (file: string, ...flags: string[]) =>
  capture(["train", at("photos"), "--show-augment", at(file), ...flags]);

describe("--show-augment", () => {
  it("draws a sheet, the same each time, and trains nothing", async () => {
    const flags = ["--augment", "randaugment", "--mixup", "0.4", "--cut-mix", "1", "--image-size", "71"];
    const { exitCode, stderr, stdout } = await show("sheet.svg", ...flags);
    expect({ exitCode, stdout, stderr: stderr.replace(work, "…") }).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: "Wrote …/sheet.svg: 6 images in 5 epochs; nothing was trained\n",
    });
    const svg = await readFile(at("sheet.svg"), "utf8");
    expect(svg.match(/<image /g)?.length).toBe(36);
    expect(svg).toContain("--augment randaugment, mixup 0.4, CutMix 1, label smoothing 0.1, seed 0, 71×71 pixels");
    await show("again.svg", ...flags);
    expect(await readFile(at("again.svg"), "utf8")).toBe(svg);
    await show("other.svg", ...flags, "--seed", "1");
    expect(await readFile(at("other.svg"), "utf8")).not.toBe(svg);
    expect((await readdir(work)).sort()).toEqual(["again.svg", "other.svg", "photos", "sheet.svg"]);
  });

  it("shows what flags change of the augmentation with a name", async () => {
    const flags = [
      "--augment",
      "none",
      "--rotation",
      "90",
      "--flip",
      "no",
      "--rand-augment",
      "1,5",
      "--image-size",
      "71",
    ];
    const { exitCode } = await show("turned.svg", ...flags);
    expect(exitCode).toBe(0);
    const svg = await readFile(at("turned.svg"), "utf8");
    expect(svg).toContain("--augment none, flip no, rotation 90, rand augment 1,5, label smoothing 0.1, seed 0");
    expect(svg).not.toMatch(/>flip|brightness ×/);
    const turns = [...svg.matchAll(/turn\s(−?\d+)°/g)].map(([, degrees]) =>
      Math.abs(Number(degrees!.replace("−", "-"))),
    );
    expect(turns).toHaveLength(30);
    expect(Math.max(...turns)).toBeGreaterThan(60);
    const refused = await Promise.all([
      show("x.svg", "--flip", "maybe"),
      show("x.svg", "--rotation", "200"),
      show("x.svg", "--rand-augment", "2"),
    ]);
    expect(refused.map(({ stderr }) => stderr).join("")).toMatchInlineSnapshot(`
      "error: option --flip: this value is not allowed; received "maybe"; expected yes or no (in a file true or false), or auto.
      error: option --rotation: this value is not allowed; received "200"; expected a number from 0, up to 180, or auto.
      error: option --rand-augment: this value is not allowed; received "2"; expected two numbers, operations from 0 to 14 and a magnitude from 0 to 10, e.g. 2,9, or auto.
      "
    `);
  });

  it("draws it as PNG or as a page, too", async () => {
    const { stdout } = await show("sheet.png", "--image-size", "71", "--json");
    expect(JSON.parse(stdout)).toEqual({ file: at("sheet.png"), images: 6, epochs: 5 });
    const { width, height } = await sharp(at("sheet.png")).metadata();
    expect(width).toBe(2 * 20 + 6 * 150 + 5 * 14);
    expect(height).toBeGreaterThan(6 * 150);
    await show("sheet.html", "--image-size", "71");
    expect(await readFile(at("sheet.html"), "utf8")).toMatch(/^<!doctype html>[\s\S]*<svg width/);
  });

  it("refuses other kinds of files", async () => {
    const { exitCode, stderr } = await show("sheet.gif");
    expect(exitCode).toBe(2);
    expect(stderr.replace(work, "…")).toMatchInlineSnapshot(`
      "error: option --show-augment: the extension does not identify a format; received "…/sheet.gif"; expected .png, .svg, .html.
      "
    `);
  });
});

describe("weights", () => {
  const train = (...flags: string[]) =>
    capture(["train", at("photos"), "-o", at("run"), "--overwrite", ...smallTraining, "--epochs", "1", ...flags]);

  it("of classes and of images come from files, and balance can be asked for", async () => {
    const [first] = await readdir(at("photos/red"));
    await writeFile(at("images.csv"), `file,weight\nred/${first},0.5\n`);
    const files = ["--class-weights", "red=3", "--sample-weights", at("images.csv")];
    const { exitCode, stderr } = await train(...files, "--sampling", "balanced", "--random-erasing", "0.5");
    expect(stderr).toContain("Wrote");
    expect(exitCode).toBe(0);
    const { provenance } = decodeModel(await readFile(at("run/model.onnx")), "model.onnx");
    const weights = { classWeights: { red: 3 }, sampling: "balanced", randomErasing: 0.5 };
    expect(provenance).toMatchObject({ recipe: weights });
    expect(JSON.stringify(provenance)).not.toContain(work);
    const report = await readFile(at("run/report.html"), "utf8");
    for (const text of ["default, random erasing 0.5", "red&#34;:3", "images.csv", "every class equally often"]) {
      expect(report).toContain(text);
    }
    await train("--class-weights", "balanced");
    const balanced = decodeModel(await readFile(at("run/model.onnx")), "model.onnx");
    expect(balanced.provenance).toMatchObject({ recipe: { classWeights: "balanced" } });
  });

  it("are refused when they are of something else", async () => {
    await writeFile(at("wrong.csv"), "purple,3\n");
    const refusal = async (...flags: string[]) => {
      const { exitCode, stderr } = await train(...flags);
      return `${exitCode} ${stderr.replaceAll(work, "…")}`;
    };
    expect(await refusal("--class-weights", "purple=3")).toMatchInlineSnapshot(`
      "2 error: class weights: the data set has no such classes; received ["purple"]; expected blue, red.
      "
    `);
    expect(await refusal("--sample-weights", at("wrong.csv"))).toMatchInlineSnapshot(`
      "1 error: file "…/wrong.csv": there are weights of images that the data set lacks (1); received ["purple"]; expected names as in the data set, e.g. blue/0.png.
      "
    `);
    expect(await refusal("--sample-weights", at("missing.csv"))).toContain("missing.csv");
  });
});
