import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { embeddingsWriter, readEmbeddings } from "../../src/tasks/features/embeddings.ts";
import { loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "../tasks/images.ts";
import { capture } from "./capture.ts";

let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);
const model = smallModel();
const names = ["cat/1.png", "cat/2.png", "dog/1.png", "loose.png"];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-embed-"));
  await writeFile(at("model.onnx"), encodeModel(model));
  for (const name of ["photos/cat", "photos/dog", "empty", "moved"]) await mkdir(at(name), { recursive: true });
  for (const [index, name] of names.entries()) {
    const { data } = noise(1, [71, 80, 3], index + 1);
    await writeFile(at("photos", name), await nodePlatform.images.encodePng({ width: 80, height: 71, data }));
  }
  await writeFile(at("photos", "dog", "broken.png"), "not an image");
  await writeFile(at("broken.png"), "not an image");
  const { data } = noise(1, [71, 80, 3], 9);
  await writeFile(at("query.png"), await nodePlatform.images.encodePng({ width: 80, height: 71, data }));
});
afterAll(() => rm(folder, { recursive: true }));

const embed = (output: string, ...more: string[]) =>
  capture(["embed", at("model.onnx"), at("photos"), "-o", at(output), ...more]);
const load = async (file: string) => readEmbeddings(await readFile(at(file)), file);
const stripped = (text: string) => text.replaceAll(folder, "…");

/** Rows as the library gives them. */
async function expectedRows(pooling: "avg" | "max", layer?: string) {
  await using extractor = await loadFeatureExtractor(at("model.onnx"), { platform: nodePlatform });
  const sources = names.map((name) => at("photos", name));
  const [map] = await extractor.features(sources, { pooling, ...(layer && { layers: [layer] }) });
  return { values: map!.values, digest: await extractor.digest({ pooling, ...(layer && { layers: [layer] }) }) };
}

/** The cosine as it is defined, on other code than the one under test. */
function cosine(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0) / (Math.hypot(...a) * Math.hypot(...b));
}

describe("xception embed", () => {
  it("writes a row for each image, and names what it skips", async () => {
    const { exitCode, stdout, stderr } = await embed("e.safetensors", "--json");
    expect(exitCode).toBe(0);
    expect(stderr).toContain("embedding: 5/5\n");
    expect(stderr).toContain("skipped: image");
    const expected = await expectedRows("avg");
    expect(JSON.parse(stdout)).toEqual({
      file: at("e.safetensors"),
      rows: 4,
      dimensions: 104,
      layer: "block7_sepconv2_act",
      pooling: "avg",
      model: at("model.onnx"),
      digest: expected.digest,
      skipped: [{ file: "dog/broken.png", reason: expect.stringContaining("this is not a supported image") }],
    });
    const { images, values, origin } = await load("e.safetensors");
    expect(images).toEqual([
      { file: "cat/1.png", label: "cat" },
      { file: "cat/2.png", label: "cat" },
      { file: "dog/1.png", label: "dog" },
      { file: "loose.png" },
    ]);
    for (const [index, value] of values.data.entries()) expect(value).toBeCloseTo(expected.values.data[index]!, 5);
    const { digest } = expected;
    expect(origin).toEqual({
      model: "model.onnx",
      digest,
      network: {},
      layer: "block7_sepconv2_act",
      pooling: "avg",
      folder: "photos",
    });
  });

  it("writes the same numbers as JSON and CSV, of another layer and pooling if asked to", async () => {
    const first = await embed("x.json", "--layer", "add", "--pooling", "max");
    expect(stripped(first.stdout)).toBe("…/x.json: 4 images, 8 numbers each (add, max)\n");
    await embed("x.csv", "--layer", "add", "--pooling", "max", "--batch-size", "1");
    const [json, csv] = [await load("x.json"), await load("x.csv")];
    const { values } = await expectedRows("max", "add");
    expect(json.images).toEqual(csv.images);
    for (const [index, value] of values.data.entries()) {
      expect(json.values.data[index]).toBeCloseTo(value, 5);
      expect(csv.values.data[index]).toBeCloseTo(value, 5);
    }
  });

  it("names images of several places as seen from here, each once", async () => {
    const images = [at("photos", "cat"), at("query.png"), at("query.png")];
    const { exitCode } = await capture(["embed", at("model.onnx"), ...images, "-o", at("several.json")]);
    expect(exitCode).toBe(0);
    const { images: rows } = await load("several.json");
    expect(rows.map(({ file }) => file.slice(file.indexOf("xception-embed-")).replace(/^[^/]*/, "…"))).toEqual([
      "…/photos/cat/1.png",
      "…/photos/cat/2.png",
      "…/query.png",
    ]);
    const found = await capture(["search", at("query.png"), at("several.json"), "--json"]);
    expect(JSON.parse(found.stdout).neighbors).toHaveLength(2);
  });

  it.each([
    [
      "another kind of file",
      ["embed", "model.onnx", "photos", "-o", "e.npy"],
      2,
      'embeddings file: the extension does not identify a format; received "…/e.npy"; expected .safetensors, .csv, .json.',
    ],
    [
      "a missing folder",
      ["embed", "model.onnx", "photos", "-o", "no/e.csv"],
      1,
      'file "…/no/e.csv": the folder …/no does not exist. Create it first.',
    ],
    [
      "no readable image",
      ["embed", "model.onnx", "broken.png", "-o", "e.csv"],
      1,
      "embed: none of the images can be embedded; received",
    ],
    ["no images", ["embed", "model.onnx", "empty", "-o", "e.csv"], 1, 'folder "…/empty": it contains no images.'],
    [
      "a missing model",
      ["embed", "none.onnx", "photos", "-o", "e.csv"],
      1,
      'file "…/none.onnx": there is no such file.',
    ],
    [
      "a missing layer",
      ["embed", "model.onnx", "photos", "-o", "e.csv", "--layer", "nose"],
      2,
      'features option layers: network "xception" has no such layer; received "nose"',
    ],
    [
      "a layer without maps",
      ["embed", "model.onnx", "photos", "-o", "e.csv", "--layer", "avg_pool"],
      2,
      'features option pooling: layer "avg_pool" has no feature maps to pool',
    ],
    [
      "another pooling",
      ["embed", "model.onnx", "photos", "-o", "e.csv", "--pooling", "sum"],
      2,
      "error: option '--pooling <how>' argument 'sum' is invalid. Allowed choices are avg, max.",
    ],
    ["no output", ["embed", "model.onnx", "photos"], 2, "error: required option '-o, --output <file>' not specified"],
  ])("refuses %s", async (_, argv, exitCode, message) => {
    const paths = argv.map((word) => (/[./]|photos|empty/.test(word) ? at(word) : word));
    const result = await capture(paths);
    expect({ exitCode: result.exitCode, stdout: result.stdout }).toEqual({ exitCode, stdout: "" });
    expect(stripped(result.stderr)).toContain(message);
    await expect(readFile(at("e.csv"))).rejects.toThrow("ENOENT");
  });

  it("takes the published weights without their top", async () => {
    const argv = ["embed", "imagenet", at("photos"), "-o", at("i.csv"), "--offline", "--cache-dir", at("cache")];
    const { exitCode, stderr } = await capture(argv);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("xception_weights_tf_dim_ordering_tf_kernels_notop.h5");
  });

  it("refuses values that are not finite, and stops when interrupted", async () => {
    const weights = new Map(model.weights);
    const beta = weights.get("block7_sepconv2_bn/beta")!;
    weights.set("block7_sepconv2_bn/beta", { ...beta, data: beta.data.map(() => Number.POSITIVE_INFINITY) });
    await writeFile(at("diverged.onnx"), encodeModel({ ...model, weights }));
    const diverged = await capture(["embed", at("diverged.onnx"), at("photos"), "-o", at("d.csv")]);
    expect(diverged.exitCode).toBe(1);
    expect(diverged.stderr).toContain("error: embed: none of the images can be embedded; received");
    expect(diverged.stderr).toContain(
      "the network's outputs for it are NaN or infinite. If this concerns every image,",
    );
    const stopped = await capture(["embed", at("model.onnx"), at("photos"), "-o", at("d.csv")], {
      signal: AbortSignal.abort(),
    });
    expect(stopped).toMatchObject({ exitCode: 1, stderr: "error: loading images: it was stopped by the caller.\n" });
    await expect(readFile(at("d.csv"))).rejects.toThrow("ENOENT");
  });
});

describe("xception search", () => {
  beforeAll(async () => {
    for (const name of ["s.safetensors", "s.csv"]) await embed(name);
  });

  it("finds the nearest to an image that it embeds with the same model", async () => {
    const { exitCode, stdout, stderr } = await capture(["search", at("query.png"), at("s.safetensors"), "--json"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const { query, neighbors } = JSON.parse(stdout);
    expect(query).toEqual({ file: at("query.png") });
    const { values, images } = await load("s.safetensors");
    await using extractor = await loadFeatureExtractor(at("model.onnx"), { platform: nodePlatform });
    const [map] = await extractor.features(at("query.png"), { pooling: "avg" });
    const own = [...map!.values.data];
    const expected = images
      .map((image, row) => ({
        ...image,
        row,
        similarity: cosine(own, [...values.data.slice(104 * row, 104 * (row + 1))]),
      }))
      .sort((a, b) => b.similarity - a.similarity);
    expect(neighbors).toEqual(expected.map((each) => ({ ...each, similarity: expect.closeTo(each.similarity, 6) })));
    const text = await capture(["search", at("query.png"), at("s.safetensors"), "--top", "1"]);
    const [{ similarity, label = "", file }] = expected as [(typeof expected)[number]];
    expect(text.stdout.trim()).toBe(`${similarity.toFixed(4)}  ${label && `${label}  `}${file}`.trim());
  });

  it("takes a row of the file for the query, by its name or its path, without the model", async () => {
    const byName = await capture(["search", "cat/1.png", at("s.csv"), "--json"]);
    expect(JSON.parse(byName.stdout).query).toEqual({ file: "cat/1.png", label: "cat" });
    const found = JSON.parse(byName.stdout).neighbors;
    expect(found.map(({ file }: { file: string }) => file).sort()).toEqual(["cat/2.png", "dog/1.png", "loose.png"]);
    const byPath = await capture(["search", at("photos", "cat", "1.png"), at("s.safetensors"), "--json"]);
    const same = JSON.parse(byPath.stdout).neighbors as { file: string; similarity: number }[];
    expect(same.map(({ file }) => file)).toEqual(found.map(({ file }: { file: string }) => file));
  });

  it("reads the query from standard input, and finds the image itself", async () => {
    const stdin = () => readFile(at("photos", "loose.png"));
    const { stdout } = await capture(["search", "-", at("s.safetensors"), "--top", "1", "--json"], { stdin });
    expect(JSON.parse(stdout)).toEqual({
      query: { file: "-" },
      neighbors: [{ file: "loose.png", row: 3, similarity: expect.closeTo(1, 6) }],
    });
  });

  it("draws a sheet of the images", async () => {
    const { stdout } = await capture(["search", "cat/1.png", at("s.safetensors"), "-o", at("sheet.html"), "--json"]);
    expect(JSON.parse(stdout).sheet).toBe(at("sheet.html"));
    const page = await readFile(at("sheet.html"), "utf8");
    expect(page.match(/src="data:image\/jpeg;base64,/g)).toHaveLength(4);
    expect(page).toContain("The 3 most similar of 4 images, 1 of the same class (cat).");
    expect(page).toContain("<dd>block7_sepconv2_act, avg</dd>");
    // Images that are gone are no reason not to see the others.
    await rename(at("photos", "loose.png"), at("loose.png"));
    await capture(["search", "cat/1.png", at("s.safetensors"), "-o", at("sheet.html")]);
    await rename(at("loose.png"), at("photos", "loose.png"));
    const without = await readFile(at("sheet.html"), "utf8");
    expect(without.match(/file not found/g)).toHaveLength(1);
  });

  it("refuses another model, and takes the right one where it is now", async () => {
    await copyFile(at("s.safetensors"), at("moved", "s.safetensors"));
    const search = (...more: string[]) => capture(["search", at("query.png"), at("moved", "s.safetensors"), ...more]);
    const gone = await search();
    expect(gone.exitCode).toBe(1);
    expect(stripped(gone.stderr)).toContain('model.onnx": there is no such file.');
    expect((await search("--model", at("model.onnx"))).exitCode).toBe(0);
    const weights = new Map(model.weights);
    const gamma = weights.get("block1_conv1_bn/gamma")!;
    weights.set("block1_conv1_bn/gamma", { ...gamma, data: gamma.data.map((value) => value * 2) });
    await writeFile(at("other.onnx"), encodeModel({ ...model, weights }));
    const other = await search("--model", at("other.onnx"));
    expect(other).toMatchObject({ exitCode: 1, stdout: "" });
    expect(stripped(other.stderr).replaceAll(/[0-9a-f]{16}…/g, "#")).toBe(
      'error: model "…/other.onnx": it is not the model that made the embeddings; received "digest #"; ' +
        "expected #. Use that model, or embed the images again.\n",
    );
  });

  it("opens nothing that only an untrusted file names: no URL, no file outside its folder", async () => {
    const requests: string[] = [];
    const server = createServer(({ url = "" }, response) => {
      requests.push(url);
      response.end("no model");
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.onnx`;
    const { images, values, origin } = await load("s.safetensors");
    const forge = async (changes: { model?: string; folder?: string }, files = images) => {
      const embeddings = { images: files, values, origin: { ...origin!, ...changes } };
      await writeFile(at("moved", "forged.json"), embeddingsWriter("forged.json")(embeddings));
      return at("moved", "forged.json");
    };
    const search = async (file: string, ...more: string[]) => {
      const { exitCode, stderr } = await capture(["search", at("query.png"), file, ...more]);
      return `${exitCode} ${stripped(stderr)}`;
    };
    for (const model of [url, "imagenet", "../model.onnx", at("model.onnx")]) {
      expect(await search(await forge({ model }))).toBe(
        `2 error: embeddings "…/moved/forged.json": the recorded model is not below the file's folder, so it is not opened ` +
          `unasked; received ${stripped(JSON.stringify(model))}. If you trust it, name it with --model.\n`,
      );
    }
    expect(requests).toEqual([]);
    expect(await search(await forge({}), "--model", at("model.onnx"))).toBe("0 ");
    expect(await search(await forge({}), "--model", url, "--cache-dir", at("cache"))).toMatch(
      /^1 .*error: file "http/s,
    );
    expect(requests.length).toBeGreaterThan(0);
    await new Promise((closed) => server.close(closed));

    const page = async (file: string, ...more: string[]) => {
      const { stderr } = await capture(["search", images[0]!.file, file, "-o", at("sheet.html"), ...more]);
      const shown = (await readFile(at("sheet.html"), "utf8")).match(/src="data:image\/jpeg;base64,/g) ?? [];
      return { stderr, shown: shown.length };
    };
    const note = (count: number) =>
      `note: images not shown, since they are outside the folder: ${count}; name theirs with --folder\n`;
    const outside = await forge({ folder: "../photos" });
    expect(await page(outside)).toEqual({ stderr: note(3), shown: 0 });
    expect(await page(outside, "--folder", at("photos"))).toEqual({ stderr: "", shown: 4 });
    const stolen = images.map((image, row) => (row === 3 ? { file: "../query.png" } : image));
    expect(await page(await forge({ folder: "." }, stolen), "--folder", at("photos"))).toEqual({
      stderr: note(1),
      shown: 3,
    });
  });

  it.each([
    [
      "an image that is nowhere",
      ["search", "nose.png", "s.csv"],
      1,
      'image "…/nose.png": there is no such file, and none of the 4 images of the embeddings has this path; expected a file, or a path as in the embeddings, e.g. cat/1.png.',
    ],
    [
      "another image where the file names no model",
      ["search", "query.png", "s.csv"],
      2,
      'embeddings "…/s.csv": the file does not record its model, so other images cannot be compared with its own; expected the path of one of its images. Write the embeddings as .safetensors or .json.',
    ],
    ["a damaged image", ["search", "broken.png", "s.safetensors"], 1, "this is not a supported image"],
    [
      "what holds no embeddings",
      ["search", "query.png", "model.onnx"],
      1,
      'embeddings "…/model.onnx": it contains no embeddings;',
    ],
    ["a missing file", ["search", "query.png", "none.csv"], 1, 'file "…/none.csv": there is no such file.'],
    [
      "another kind of sheet",
      ["search", "query.png", "s.csv", "-o", "sheet.png"],
      2,
      'option --output: the extension does not identify a format; received "…/sheet.png"; expected .html, .htm.',
    ],
    [
      "a count of none",
      ["search", "query.png", "s.csv", "--top", "0"],
      2,
      'option --top: this value is not allowed; received "0"; expected a whole number from 1.',
    ],
  ])("refuses %s", async (_, argv, exitCode, message) => {
    const result = await capture(argv.map((word) => (word.includes(".") ? at(word) : word)));
    expect({ exitCode: result.exitCode, stdout: result.stdout }).toEqual({ exitCode, stdout: "" });
    expect(stripped(result.stderr)).toContain(message);
  });
});
