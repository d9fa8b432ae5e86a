import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readTrainingImages } from "../../apps/cli/train/images.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { resolveSettings } from "../../src/train/settings/resolve.ts";
import type { Settings } from "../../src/train/settings/settings.ts";
import { smallModel } from "../model/small-model.ts";
import { capture } from "./capture.ts";

let folder: string;
const at = (name: string) => join(folder, name);

async function writeWaves(file: string, label: string, index: number): Promise<void> {
  const data = Uint8Array.from({ length: 80 * 71 * 3 }, (_, place) => {
    const [x, y] = [Math.floor(place / 3) % 80, Math.floor(place / 240)];
    return 128 + 60 * Math.sin((x * (index + 2) + y * (9 - index) * (label === "cat" ? 1 : 2)) / 40 + (place % 3));
  });
  const image = sharp(data, { raw: { width: 80, height: 71, channels: 3 } });
  await image.png().toFile(at(file));
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "xception-data-"));
  for (const label of ["cat", "dog"]) {
    mkdirSync(at(`photos/${label}`), { recursive: true });
    for (let index = 0; index < 6; index++) {
      await writeWaves(`photos/${label}/${index}.png`, label, index);
    }
  }
  copyFileSync(at("photos/cat/1.png"), at("photos/cat/copy.png"));
  writeFileSync(at("photos/dog/broken.jpg"), "");
  writeFileSync(at("model.onnx"), encodeModel(smallModel()));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The settings that locate images. */
function located(imagesList: string): Settings {
  return { ...resolveSettings([]).settings, split: [75, 25, 0], imagesList };
}

const clean = ["cat/0.png", "cat/1.png", "cat/2.png", "cat/3.png", "cat/4.png", "cat/5.png"].concat(
  Array.from({ length: 6 }, (_, index) => `dog/${index}.png`),
);

describe("xception data", () => {
  it("prints what it found, and writes the list of the others, which train takes", async () => {
    const argv = ["data", at("photos"), "--write-clean", at("clean.txt"), "-o", at("problems.csv")];
    const { exitCode, stdout, stderr } = await capture(argv);
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: [
        "images           14 in 2 classes, 7 in each",
        "unreadable       1",
        "copies           1 the same file",
        "labels in doubt  not checked (needs --weights)",
        "unlike others    0",
        "clean            12\n",
      ].join("\n"),
    });
    expect(stderr).toContain("comparing: 14/14\n");
    expect(readFileSync(at("clean.txt"), "utf8")).toBe(`${clean.join("\n")}\n`);
    expect(readFileSync(at("problems.csv"), "utf8")).toMatch(
      /^problem,file,about,note\r\nunreadable,dog\/broken\.jpg,,"?image .* is empty; .*\r\n"duplicate, the same file",cat\/copy\.png,cat\/1\.png,\r\n$/,
    );

    const { training, validation } = await readTrainingImages(
      at("photos"),
      located(at("clean.txt")),
      nodePlatform.files,
    );
    const names = [...training.samples, ...validation!.dataset.samples].map(({ name }) => name);
    expect(names.sort()).toEqual(clean);
  });

  it("checks labels with a model, as JSON and as a page", async () => {
    const argv = ["data", at("photos"), "--weights", at("model.onnx"), "-o", at("page.html"), "--json"];
    const { exitCode, stdout } = await capture(argv);
    expect(exitCode).toBe(0);
    const found = JSON.parse(stdout);
    expect(found).toMatchObject({ images: 14, clean: expect.any(Array), labelIssues: expect.any(Array) });
    expect(found.crossValidatedAccuracy).toBeGreaterThan(0);
    expect(found.duplicates).toEqual([{ kind: "bytes", files: ["cat/1.png", "cat/copy.png"] }]);
    const [first, second] = ["cat/4.png", "cat/5.png"];
    expect(found.similar).toEqual([{ files: [first, second], similarity: expect.closeTo(0.994, 3) }]);
    const page = readFileSync(at("page.html"), "utf8");
    for (const text of [
      "Copies",
      "Similarity 0.994",
      "the same file",
      "cat/copy.png",
      "dog/broken.jpg",
      "data:image/jpeg;base64,",
    ]) {
      expect(page).toContain(text);
    }
  });

  it("finds images for training and validation that are similar but no copies", async () => {
    for (const label of ["cat", "dog"]) mkdirSync(at(`validation/${label}`), { recursive: true });
    await writeWaves("validation/cat/4.png", "cat", 4.3);
    await writeWaves("validation/dog/9.png", "dog", 9);
    const argv = ["data", at("photos"), "--val", at("validation"), "--weights", at("model.onnx"), "-o", at("both.csv")];
    const { exitCode, stdout } = await capture(argv);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("\nin both sets     0 groups\nsimilar          3 pairs, 2 of them in both sets\n");
    const rows = readFileSync(at("both.csv"), "utf8").split("\r\n");
    expect(rows.filter((row) => row.startsWith("similar")).sort()).toEqual([
      expect.stringMatching(/^similar,cat\/5\.png,cat\/4\.png,0\.9\d{3}$/),
      expect.stringMatching(/^similar,validation:cat\/4\.png,cat\/4\.png,0\.99\d\d$/),
      expect.stringMatching(/^similar,validation:cat\/4\.png,cat\/5\.png,0\.9\d{3}$/),
    ]);
  });

  it("notes classes of validation images that the others lack", async () => {
    for (const label of ["cat", "owl"]) mkdirSync(at(`other/${label}`), { recursive: true });
    await writeWaves("other/cat/1.png", "cat", 1);
    await writeWaves("other/owl/1.png", "owl", 1);
    const { exitCode, stderr } = await capture(["data", at("photos"), "--val", at("other")]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain("note: The training images lack these classes of --val: owl.\n");
  });

  it.each([
    ...[
      ["--layer", "add"],
      ["--allow-missing", "a"],
      ["--architecture", "xception41"],
      ["--no-top"],
      ["--no-residual"],
    ].map((flags): [string[], string] => [
      flags,
      `error: xception data: without --weights there is no network; received "${flags[0]}".\n`,
    ]),
    [["-o", "page.png"], "error: option --output: the extension does not identify a format; received"],
  ])("%j is wrong usage", async (flags, message) => {
    const { exitCode, stderr } = await capture(["data", at("photos"), ...flags]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
  });

  it("a list of other images is refused", async () => {
    writeFileSync(at("other.txt"), "cat/0.png\ndog/9.png\n");
    const read = (list: string) => readTrainingImages(at("photos"), located(list), nodePlatform.files);
    await expect(read(at("other.txt"))).rejects.toThrow(
      'it lists images that the data set lacks (1); received ["dog/9.png"]; expected paths inside the folder, e.g. cat/1.jpg.',
    );
    writeFileSync(at("cats.txt"), "cat/0.png\r\n\r\ncat/1.png");
    await expect(read(at("cats.txt"))).rejects.toThrow('it lists no image of some classes; received ["dog"].');
  });
});
