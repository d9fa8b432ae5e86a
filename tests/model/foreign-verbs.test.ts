import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { loadExplainer } from "../../src/tasks/explain/explainer.ts";
import { explanationMethods } from "../../src/tasks/explain/methods.ts";
import { loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { capture } from "../cli/capture.ts";
import { noise } from "../tasks/images.ts";

// Written by PyTorch with tests/golden/torch-xception.py; the flags name the network of its weights.
const graph = join(root, "tests/golden/formats/torch-xception.onnx");
const own = ["--architecture", "legacy_xception", "--input-shape", "71x80x3", "--classes", "3", "--width", "0.02"];
const ours = [...own, "--middle-flow-repeats", "1"];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-foreign-"));
  for (const [seed, name] of ["0", "1", "2", "0", "1", "2"].entries()) {
    await mkdir(join(folder, "photos", name), { recursive: true });
    const data = noise(1, [71, 80, 3], seed + 1).data as Uint8Array;
    const png = await platform.images.encodePng({ width: 80, height: 71, data });
    await writeFile(join(folder, "photos", name, `${seed}.png`), png);
  }
});

async function json(...argv: string[]) {
  const { stdout, stderr, exitCode } = await capture([...argv, "--json"]);
  expect({ exitCode, errors: stderr.split("\n").filter((line) => line.startsWith("error")) }).toEqual({
    exitCode: 0,
    errors: [],
  });
  return JSON.parse(stdout);
}

test("evaluate runs the graph of another tool, with the scores of its weights in our network", async () => {
  const found = await json("evaluate", graph, join(folder, "photos"), "--report", join(folder, "report.html"));
  const expected = await json("evaluate", graph, join(folder, "photos"), ...ours);
  expect(found).toMatchObject({ images: 6, top1: expected.top1, confusion: expected.confusion });
  expect(found.loss).toBeCloseTo(expected.loss, 5);
  expect(readFileSync(join(folder, "report.html"), "utf8")).not.toContain("undefined");
});

test("--top of classify and evaluate is not the network's flag --no-top, which would open the weights alone", async () => {
  const image = join(folder, "photos", "0", "0.png");
  const [all] = await json("classify", graph, image);
  const [two] = await json("classify", graph, image, "--top", "2");
  expect(two.predictions).toEqual(all.predictions.slice(0, 2));
  expect(await json("evaluate", graph, join(folder, "photos"), "--top", "1,2")).toMatchObject({ images: 6 });
});

test("verify compares its probabilities in each runtime", async () => {
  const image = join(folder, "photos", "0", "0.png");
  const found = await json("verify", graph, "--runtimes", "cpu", "--image", image);
  expect(found).toMatchObject({
    model: graph,
    reference: "the graph itself on the CPU, operator by operator, nothing fused",
    images: ["synthetic", image],
    runtimes: [{ runtime: "cpu", blocks: [], passed: true }],
    passed: true,
  });
  expect(found.runtimes[0].probabilities.difference).toBeLessThan(1e-5);
  const { stderr, exitCode } = await capture(["verify", graph, "--reference", graph]);
  expect({ stderr, exitCode }).toEqual({
    stderr:
      "error: verify option reference: a graph of another tool can only be compared with itself. " +
      "Leave the reference out, or name the network of the graph's weights.\n",
    exitCode: 2,
  });
});

describe("embed", () => {
  const image = { width: 80, height: 71, data: noise(1, [71, 80, 3]).data as Uint8Array };
  const network = { inputShape: [71, 80, 3], classes: 3, width: 0.02, middleFlowRepeats: 1 } as const;

  test("gives what the last layer reads: the pooled feature maps of our network", async () => {
    await using foreign = await loadFeatureExtractor(graph, { platform });
    await using extractor = await loadFeatureExtractor(graph, { platform, architecture: "legacy_xception", network });
    for (const images of [[image], [image, image]]) {
      const [found] = await foreign.features(images, { pooling: "avg" });
      const [expected] = await extractor.features(images, { pooling: "avg" });
      expect(found!.values.shape).toEqual(expected!.values.shape);
      for (const [index, value] of expected!.values.data.entries()) {
        expect(found!.values.data[index]).toBeCloseTo(value, 5);
      }
    }
  });

  test("gives any result by its name, channels last, and its maximum", async () => {
    await using foreign = await loadFeatureExtractor(graph, { platform });
    await using extractor = await loadFeatureExtractor(graph, { platform, architecture: "legacy_xception", network });
    const name = foreign.network.layers.find(({ outputShape }) => outputShape[0] === 35)!.name;
    const [map] = await foreign.features(image, { layers: [name] });
    const [expected] = await extractor.features(image, { layers: ["block1_conv1"] });
    expect(map!.values.shape).toEqual(expected!.values.shape);
    const [largest] = await foreign.features(image, { layers: [name], pooling: "max" });
    const channels = map!.values.shape[3]!;
    const first = map!.values.data.filter((_, index) => index % channels === 0);
    expect(largest!.values.data[0]).toBe(Math.max(...first));
    await expect(foreign.features(image, { layers: ["none"] })).rejects.toThrow('has no such layer; received "none"');
  });

  test("writes rows that search finds again", async () => {
    const output = join(folder, "photos.json");
    const { rows, digest } = await json("embed", graph, join(folder, "photos"), "-o", output);
    expect(rows).toBe(6);
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    const query = join(folder, "query.png");
    await writeFile(query, readFileSync(join(folder, "photos", "1", "1.png")));
    const [best] = (await json("search", query, output, "--model", graph)).neighbors;
    expect(best.file).toContain("1.png");
  });
});

describe("explain", () => {
  const image = { width: 80, height: 71, data: noise(1, [71, 80, 3]).data as Uint8Array };
  const network = { inputShape: [71, 80, 3], classes: 3, width: 0.02, middleFlowRepeats: 1 } as const;

  test("occludes a graph whose layers are not known, as it would our network", async () => {
    await using foreign = await loadExplainer(graph, { platform });
    await using ours = await loadExplainer(graph, { platform, architecture: "legacy_xception", network });
    expect([foreign.defaultMethod, ours.defaultMethod]).toEqual(["occlusion", "grad-cam"]);
    const found = await foreign.explain(image, { samples: 9 });
    const expected = await ours.explain(image, { method: "occlusion", samples: 9 });
    expect(found).toMatchObject({ method: "occlusion", label: expected.label, layer: undefined });
    for (const [at, value] of expected.map.data.entries()) expect(found.map.data[at]).toBeCloseTo(value, 5);
    const masked = await foreign.explain(image, { method: "rise", samples: 10, label: "2", against: "0" });
    const same = await ours.explain(image, { method: "rise", samples: 10, label: "2", against: "0" });
    for (const [at, value] of same.map.data.entries()) expect(masked.map.data[at]).toBeCloseTo(value, 5);
  });

  test("has all methods for a network of Keras that is of no family of ours", async () => {
    await using keras = await loadExplainer(join(root, "tests/golden/formats/small.h5"), { platform });
    const [height, width] = keras.network.layers[0]!.outputShape as [number, number];
    const data = noise(1, [height, width, 3]).data as Uint8Array;
    for (const method of explanationMethods) {
      const { map, incompleteness = 0 } = await keras.explain({ width, height, data }, { method, samples: 64 });
      expect(map.data.every(Number.isFinite), method).toBe(true);
      expect(
        map.data.some((value) => value !== 0),
        method,
      ).toBe(true);
      expect(incompleteness).toBeLessThan(0.01);
    }
  });

  test("says which methods need layers, and tests the others", async () => {
    const photos = join(folder, "photos");
    const { stderr, exitCode } = await capture(["explain", graph, photos, "--method", "grad-cam"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(
      "error: explain option method: it needs layers or gradients, but the model is a graph of another tool whose layers " +
        'are not known; received "grad-cam"; expected occlusion or rise. ' +
        "Or explain the file that the graph was exported from, e.g. of Keras or timm.",
    );
    const scored = await capture(["explain", graph, photos, "--score", "--method", "layer-cam"]);
    expect(scored.stderr).toContain('whose layers are not known; received "layer-cam"');
    const { scores } = await json("explain", graph, join(photos, "0", "0.png"), "--score", "--samples", "4");
    expect(scores.map(({ method }: { method: string }) => method)).toEqual(["occlusion", "random", "edges"]);
    for (const score of scores) expect([score.randomization, score.isSane]).toEqual([undefined, undefined]);
  });
});
