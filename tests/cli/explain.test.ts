import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { initializeWeights } from "../../src/graph/initialize.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { loadExplainer } from "../../src/tasks/explain/explainer.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "../tasks/images.ts";
import { capture } from "./capture.ts";

let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);
const explain = (...argv: string[]) => capture(["explain", at("model.onnx"), ...argv]);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-explain-"));
  await writeFile(at("model.onnx"), encodeModel(smallModel()));
  await mkdir(at("photos"));
  for (const name of ["a", "b"]) {
    const { data } = noise(1, [71, 80, 3], name.charCodeAt(0));
    await writeFile(at("photos", `${name}.png`), await nodePlatform.images.encodePng({ width: 80, height: 71, data }));
  }
  await writeFile(at("broken.jpg"), "not an image");
});
afterAll(() => rm(folder, { recursive: true }));

/** What the library says. */
async function answer(file: string, options = {}) {
  await using explainer = await loadExplainer(at("model.onnx"), { platform: nodePlatform });
  return await explainer.explain(file, options);
}

it("prints a sketch of the map of each image", async () => {
  const { exitCode, stdout } = await explain(at("photos"));
  expect(exitCode).toBe(0);
  const { label, probability } = await answer(at("photos", "a.png"));
  const [file, title, ...sketch] = stdout.split("\n").slice(0, 14);
  expect(file).toBe(at("photos", "a.png"));
  expect(title?.trim()).toBe(`${(100 * probability).toFixed(1)} %  ${label}, grad-cam of block7_sepconv2_act`);
  expect(sketch).toHaveLength(12);
  for (const line of sketch) expect(line).toMatch(/^ {9}│[ ░▒▓█]{24}│$/);
  expect(sketch.join("")).toContain("█");
});

it("prints the library's explanations as JSON", async () => {
  const flags = ["--class", "cat", "--against", "owl", "--layer", "add", "--method", "hires-cam,layer-cam", "--json"];
  const { exitCode, stdout } = await explain(at("photos", "a.png"), ...flags);
  expect(exitCode).toBe(0);
  const results = JSON.parse(stdout);
  expect(results).toHaveLength(2);
  for (const [index, method] of (["hires-cam", "layer-cam"] as const).entries()) {
    const options = { method, label: "cat", against: "owl", layer: "add" };
    const { map, maximum, probability } = await answer(at("photos", "a.png"), options);
    expect(results[index]).toMatchObject({
      file: at("photos", "a.png"),
      method,
      label: "cat",
      layer: "add",
      maximum,
      probability,
    });
    expect(results[index].against.label).toBe("owl");
    expect(results[index].map.flat()).toEqual([...map.data]);
  }
});

describe("files", () => {
  it(".npy is the raw map", async () => {
    await explain(at("photos", "a.png"), "-o", at("map.npy"));
    const bytes = await readFile(at("map.npy"));
    const { map } = await answer(at("photos", "a.png"));
    expect(bytes.subarray(0, 8)).toEqual(Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]));
    const header = bytes.subarray(10, 10 + bytes.readUInt16LE(8)).toString();
    expect(header.trim()).toBe("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }");
    const values = bytes.subarray(10 + header.length);
    expect(Array.from({ length: 9 }, (_, index) => values.readFloatLE(4 * index))).toEqual([...map.data]);
    expect(bytes).toHaveLength(10 + header.length + 36);
    expect((10 + header.length) % 64).toBe(0);
  });

  it(".png shows the image beside its map", async () => {
    const { exitCode, stderr } = await explain(at("photos", "a.png"), "-o", at("map.png"));
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: `Wrote ${at("map.png")}\n` });
    const { data, info } = await sharp(at("map.png")).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    // 360 pixels wide each, a gap of 8, and 92 below for the text.
    expect([info.width, info.height]).toEqual([728, Math.round((360 * 71) / 80) + 92]);
    const original = await sharp(at("photos", "a.png"))
      .resize(360, 320, { fit: "fill", kernel: "cubic" })
      .removeAlpha()
      .raw()
      .toBuffer();
    const difference = Array.from({ length: 320 * 360 * 3 }, (_, index) => {
      const [y, x, color] = [Math.floor(index / 1080), Math.floor(index / 3) % 360, index % 3];
      return Math.abs(data[(y * 728 + x) * 3 + color]! - original[index]!);
    });
    expect(difference.reduce((a, b) => a + b) / difference.length).toBeLessThan(3);
  });

  it(".html shows every image, with nothing from outside", async () => {
    await explain(at("photos"), "-o", at("sheet.html"));
    const page = await readFile(at("sheet.html"), "utf8");
    expect(page.match(/<img src="data:image\/png;base64,/g)).toHaveLength(2);
    expect(page).not.toMatch(/https?:/);
    const { label } = await answer(at("photos", "b.png"));
    expect(page).toContain(
      `alt="${at("photos", "b.png").replaceAll("'", "&#39;")}, and the evidence of ${label} in it by grad-cam"`,
    );
  });

  it(".html names each file, and the options that its maps depend on", async () => {
    const flags = ["--method", "smooth-grad", "--samples", "2", "--aug-smooth", "--seed", "7"];
    await explain(at("photos"), ...flags, "-o", at("named.html"));
    const text = (await readFile(at("named.html"), "utf8")).replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
    for (const file of ["a.png", "b.png"]) expect(text).toContain(`${at("photos", file)} · smooth-grad`);
    expect(text).toContain("Samples 2 Smoothing aug-smooth Seed 7");
  });

  it("of one map take one image", async () => {
    const { exitCode, stderr } = await explain(at("photos"), "-o", at("two.npy"));
    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      'error: option --output: a .npy file holds one map; received "2 images and 1 method". Write .html, or print all maps with --json.\n',
    );
  });
});

it("integrated gradients report how far they are from complete", async () => {
  const of = (samples: string) =>
    explain(at("photos", "a.png"), "--method", "integrated-gradients", "--samples", samples);
  const note = "note: integrated-gradients: a map adds up to the change of the logit only within ";
  expect((await of("2")).stderr).toMatch(new RegExp(`^${note}\\d+\\.\\d %; increase --samples\n$`));
  expect((await of("256")).stderr).toBe("");
});

it("an unreadable image does not stop the others", async () => {
  const { exitCode, stdout, stderr } = await explain(at("broken.jpg"), at("photos", "a.png"));
  expect(exitCode).toBe(1);
  expect(stdout).toContain(`${at("broken.jpg")}\n  not explained: image "${at("broken.jpg")}"`);
  expect(stdout).toContain("grad-cam of");
  expect(stderr).toContain("error: explain: images that could not be explained: 1 of 2");
});

it("--score tests methods on the images", async () => {
  await writeFile(at("boxes.csv"), "photos/a.png,,0,0,80,71\nb.png,,0,0,80,71\nb.png,cat,0,0,0.001,0.001\n");
  const argv = [at("photos"), "--score", "--boxes", at("boxes.csv"), "--method", "grad-cam,layer-cam", "--json"];
  const { exitCode, stdout, stderr } = await explain(...argv);
  expect(exitCode).toBe(0);
  const { images, scores } = JSON.parse(stdout);
  expect(images).toBe(2);
  expect(scores.map(({ method }: { method: string }) => method)).toEqual(["grad-cam", "layer-cam", "random", "edges"]);
  for (const { method, deletion, insertion, difference, pointing, randomization, isSane } of scores) {
    // A box around the whole image, and one of another class in a corner: if that is the top class, it has both boxes.
    expect(pointing.hits).toBe(2);
    expect([2, 3]).toContain(pointing.total);
    expect(difference.mean).toBeCloseTo(insertion.mean - deletion.mean, 6);
    expect(deletion.mean).toBeGreaterThan(0);
    expect(deletion.mean).toBeLessThan(1);
    if (method === "random" || method === "edges") expect(randomization).toBeUndefined();
    else {
      expect(randomization).toHaveLength(4);
      expect(isSane).toBe(randomization.every(({ mean }: { mean: number }) => mean <= 0.5));
      expect(stderr.includes(`warning: ${method} failed the sanity check`)).toBe(!isSane);
    }
  }
});

it("writes nothing, and says why, if no image can be read", async () => {
  const { exitCode, stdout, stderr } = await explain(at("broken.jpg"), "-o", at("none.html"));
  expect(exitCode).toBe(1);
  expect(stdout).toContain(`${at("broken.jpg")}\n  not explained: `);
  expect(stderr).toBe("error: explain: images that could not be explained: 1 of 1.\n");
  await expect(readFile(at("none.html"))).rejects.toThrow("ENOENT");
});

it("refuses a class that is explained against itself, before it explains anything", async () => {
  const { exitCode, stdout, stderr } = await explain(at("photos"), "--class", "cat", "--against", "cat");
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
  expect(stderr).toContain('explain option against: it is the explained class; received "cat". Name another class.');
});

it.each(["class", "against"])("--score does not ignore --%s", async (name) => {
  const { exitCode, stderr } = await explain(at("photos"), "--score", `--${name}`, "cat");
  expect(exitCode).toBe(2);
  expect(stderr).toBe(
    `error: option --${name}: --score tests the explanations of each image's top class; received "cat". Leave out one of the two.\n`,
  );
});

it.each([
  ["occlusion", ["--layer", "add_11"], "grad-cam or hires-cam or grad-cam++ or layer-cam or score-cam"],
  ["grad-cam", ["--samples", "9"], "score-cam or integrated-gradients or smooth-grad or occlusion or rise"],
  ["score-cam", ["--eigen-smooth"], "grad-cam or hires-cam or grad-cam++ or layer-cam"],
])("--method %s does not ignore %j", async (method, flags, expected) => {
  const { exitCode, stderr } = await explain(at("photos", "a.png"), "--method", method, ...flags);
  expect(exitCode).toBe(2);
  expect(stderr).toBe(
    `error: option ${flags[0]}: it has no effect on the method; received "${method}"; expected --method ${expected}.\n`,
  );
  const both = await explain(at("photos", "a.png"), "--method", "grad-cam,rise", "--samples", "3");
  expect(both.exitCode).toBe(0);
});

it("--boxes belongs to --score", async () => {
  const { exitCode, stderr } = await explain(at("photos"), "--boxes", at("boxes.csv"));
  expect(exitCode).toBe(2);
  expect(stderr).toBe("error: option --boxes: boxes are for testing methods; expected --score with it.\n");
});

it("--score writes a page, and no other file", async () => {
  const { exitCode, stderr } = await explain(at("photos"), "--score", "-o", at("score.png"));
  expect(exitCode).toBe(2);
  expect(stderr).toContain(
    `error: option --output: the extension does not identify a format; received "${at("score.png")}"`,
  );
});

it("--score needs an image that can be read", async () => {
  const { exitCode, stderr } = await explain(at("broken.jpg"), "--score");
  expect(exitCode).toBe(2);
  expect(stderr).toContain("error: explain --score: none of the images can be read");
});

describe("--embeddings", () => {
  beforeAll(async () => {
    await capture(["embed", at("model.onnx"), at("photos"), "-o", at("embeddings.json")]);
  });
  const similar = async (...argv: string[]) => explain(...argv, "--embeddings", at("embeddings.json"));

  it("shows the images that search finds, but the image itself", async () => {
    await copyFile(at("photos", "a.png"), at("query.png"));
    const { exitCode, stderr } = await similar(at("query.png"), at("photos", "a.png"), "-o", at("similar.html"));
    expect(exitCode, stderr).toBe(0);
    const page = await readFile(at("similar.html"), "utf8");
    const captions = [...page.matchAll(/alt="([^"]*), similar to [^"]*"><figcaption>([^<]*)/g)];
    const searched = await capture(["search", at("query.png"), at("embeddings.json"), "--json"]);
    const { neighbors } = JSON.parse(searched.stdout) as { neighbors: { file: string; similarity: number }[] };
    const expected = neighbors.map(({ file, similarity }) => [file, `${file} ${similarity.toFixed(2)}`]);
    expect(expected[0]).toEqual(["a.png", "a.png 1.00"]);
    // The second image is one of the embeddings' own.
    expect(captions.map(([, file, caption]) => [file, caption])).toEqual([...expected, ...expected.slice(1)]);
    expect(page).toContain("Below it the most similar images of the embeddings");
  });

  it("lists them in text and JSON", async () => {
    const { stdout } = await similar(at("photos", "a.png"));
    expect(stdout).toMatch(/\n {9}0\.\d{3} {4}b\.png\n$/);
    const json = await similar(at("photos", "a.png"), "--json");
    expect(JSON.parse(json.stdout)[0].neighbors).toEqual([{ file: "b.png", row: 1, similarity: expect.any(Number) }]);
  });

  it("belong to the model that is explained", async () => {
    await writeFile(
      at("other.onnx"),
      encodeModel({ ...smallModel(), weights: initializeWeights(smallModel().network) }),
    );
    const { exitCode, stderr } = await capture([
      ...["explain", at("other.onnx"), at("photos", "a.png"), "--embeddings", at("embeddings.json")],
    ]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("it is not the model that made the embeddings");
  });

  it.each([
    [["--score", "--embeddings", "e.json"], "option --embeddings: --score shows no images; expected one of the two."],
    [["--folder", "photos"], "option --folder: it is that of the embeddings; expected --embeddings with it."],
  ])("%j are refused", async (flags, message) => {
    const { exitCode, stderr } = await explain(at("photos"), ...flags);
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: `error: ${message}\n` });
  });
});
