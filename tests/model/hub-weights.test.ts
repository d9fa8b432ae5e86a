import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileError, FormatError } from "../../src/base/errors.ts";
import type { Platform } from "../../src/base/platform.ts";
import { writeSafetensors } from "../../src/formats/safetensors.ts";
import { toTorchLayout } from "../../src/graph/torch-layout.ts";
import { parseHubConfig } from "../../src/model/hub-config.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { openModel } from "../../src/model/open-weights.ts";
import { namedWeights, sizeOfWeights } from "../../src/model/published-weights.ts";
import { architectureNamed } from "../../src/models/registry.ts";
import { timmNames } from "../../src/models/timm-names.ts";
import { cachedDownloads } from "../../src/runtime/node/downloads.ts";
import { hubSettings } from "../../src/runtime/node/hub.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { timmSyntheticWeights } from "../../src/tasks/verify/verify.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { type HubServer, serveHub } from "../runtime/hub-server.ts";
import { serve } from "../runtime/local-server.ts";
import { smallModel } from "./small-model.ts";

/** As timm's `save_for_hf` writes it. */
const config = {
  architecture: "legacy_xception",
  num_classes: 3,
  num_features: 2048,
  global_pool: "avg",
  pretrained_cfg: {
    tag: "tf_in1k",
    custom_load: false,
    input_size: [3, 96, 99],
    fixed_input_size: false,
    interpolation: "bilinear",
    crop_pct: 0.8975,
    crop_mode: "center",
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
    num_classes: 3,
    pool_size: [10, 10],
    first_conv: "conv1",
    classifier: "fc",
    license: "apache-2.0",
  },
  label_names: ["cat", "dog", "fox"],
};

let work: string;
let server: HubServer;
let platform: Platform;

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-hub-"));
  server = await serveHub({});
  const hub = hubSettings({ HF_ENDPOINT: server.endpoint, HF_HOME: work });
  const downloads = cachedDownloads({ cacheFolder: join(work, "own"), hub, backoffMs: 1, attempts: 2 });
  platform = { ...nodePlatform, downloads };
});

afterEach(async () => {
  server.close();
  await rm(work, { recursive: true });
});

test("timm's name gives timm's weights, with the labels and the preprocessing of its config.json", async () => {
  const architecture = architectureNamed("legacy_xception", { inputShape: [96, 99, 3], classes: 3 });
  const weights = timmSyntheticWeights(architecture);
  const entries = timmNames(architecture).map(({ name, weight }): [string, Tensor] => {
    if (weight === undefined) return [name, { type: "int64", shape: [], data: BigInt64Array.of(5004n) }];
    return [name, toTorchLayout(weight, weights.get(weight.name)!)];
  });
  server.files = {
    "pytorch_model.bin": writeSafetensors(new Map(entries)),
    "config.json": JSON.stringify(config),
  };
  const model = await loadModel("timm/legacy_xception.tf_in1k", platform);
  for (const [name, { data }] of weights) {
    const loaded = model.weights.get(name)!.data;
    if (!data.every((value, index) => value === loaded[index])) expect.fail(`${name} differs`);
  }
  expect(model.architecture).toMatchObject({ family: "xception", options: { inputShape: [96, 99, 3], classes: 3 } });
  expect(model.labels).toEqual(["cat", "dog", "fox"]);
  expect(model.preprocessing).toEqual({
    scale: 1 / 127.5,
    offset: -1,
    interpolation: "bilinear",
    fit: "cover",
    cropRatio: 0.8975,
    background: [255, 255, 255],
  });
  expect(model.license).toBe("apache-2.0");
  expect(model.provenance).toEqual({
    weights: "timm/legacy_xception.tf_in1k",
    source: "hf://timm/legacy_xception.tf_in1k",
  });
  expect(model.notes).toEqual([
    `Images are prepared as in config.json: resized (bilinear, cover, 89.75 % of each side), pixel · ${1 / 127.5} + -1.`,
  ]);
  expect(server.hub.map(({ path }) => path.split("/").at(-1))).toEqual([
    "config.json",
    "config.json",
    "model.safetensors",
    "pytorch_model.bin",
  ]);
});

describe("any repository on Hugging Face", () => {
  test("may hold any format, without a config.json", async () => {
    server.files = { "weights/small.h5": await readFile("tests/golden/formats/small.h5") };
    const address = `hf://owner/repo@${server.commit}/weights/small.h5`;
    const { network, provenance } = await openModel(address, platform);
    expect(network.layers.length).toBeGreaterThan(3);
    expect(provenance).toEqual({ weights: address.slice(5), source: address });
  });

  test("may hold one of our models, whose own labels count", async () => {
    const model = smallModel();
    const { labels } = model;
    server.files = {
      "model.onnx": encodeModel(model),
      "config.json": JSON.stringify({ label_names: labels.map((label) => `not ${label}`) }),
    };
    expect((await loadModel("hf://owner/repo", platform)).labels).toEqual(labels);
  });

  test("may hold another tool's ONNX graph, which runs with the repository's labels and preprocessing", async () => {
    const graph = await readFile("tests/golden/formats/torch-xception.onnx");
    const pretrained = { ...config.pretrained_cfg, input_size: [3, 71, 80], mean: [0, 0, 0], std: [1, 1, 1] };
    server.files = {
      "model.onnx": new Uint8Array(graph),
      "config.json": JSON.stringify({ ...config, pretrained_cfg: pretrained }),
    };
    await using classifier = await loadClassifier("hf://owner/repo", { platform });
    expect(classifier.labels).toEqual(["cat", "dog", "fox"]);
    expect(classifier.notes[2]).toBe(
      `Images are prepared as in config.json: resized (bilinear, cover, 89.75 % of each side), pixel · ${1 / 255} + 0.`,
    );
  });

  test("must hold a file of weights", async () => {
    const error = await loadModel("hf://owner/repo", platform).catch((cause) => cause);
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toBe(
      "download of hf://owner/repo@main/model.safetensors: the server answered 404 Not Found (EntryNotFound). Check the names of the repository, the revision and the file.",
    );
  });
});

test("errors name the cached file of a download", async () => {
  server.files = { "model.safetensors": "something else" };
  const address = "hf://owner/repo@main/model.safetensors";
  const cached = join(work, "hub/models--owner--repo/snapshots", server.commit, "model.safetensors");
  await expect(loadModel("hf://owner/repo", platform)).rejects.toThrow(
    `file "${address}" (cached as ${cached}): unknown file format`,
  );
  const other = await serve(new TextEncoder().encode("something else"));
  const opened = openModel(other.url, platform);
  await expect(opened).rejects.toThrow(FormatError);
  await expect(opened).rejects.toThrow(
    /^file "http.*weights\.h5" \(cached as .*\/own\/[\da-f]{16}-weights\.h5\): unknown/,
  );
  other.close();
});

describe("config.json", () => {
  const parse = (document: unknown) => parseHubConfig(JSON.stringify(document), "config.json");

  test("of older timm has all fields at the top, and labels under another name", () => {
    const { pretrained_cfg: inner } = config;
    expect(parse({ architecture: "xception", ...inner, mean: [0.485, 0.456, 0.406], labels: ["a", "b"] })).toEqual({
      labels: ["a", "b"],
      license: "apache-2.0",
      inputShape: [96, 99, 3],
      preprocessing: {
        scale: [1 / 127.5, 1 / 127.5, 1 / 127.5][0],
        offset: [-0.97, -0.912, -0.812],
        interpolation: "bilinear",
        fit: "cover",
        cropRatio: 0.8975,
        background: [255, 255, 255],
      },
    });
  });

  test("of transformers has labels by their numbers", () => {
    expect(parse({ model_type: "timm_wrapper", id2label: { "0": "cat", "1": "dog" } }).labels).toEqual(["cat", "dog"]);
  });

  test.each([
    ["squash", "fill"],
    ["border", "contain"],
    ["center", "cover"],
  ])("crop mode %s is fit %s", (mode, fit) => {
    const inner = { ...config.pretrained_cfg, crop_mode: mode };
    expect(parse({ ...config, pretrained_cfg: inner }).preprocessing?.fit).toBe(fit);
  });

  test("without mean and deviation states no preprocessing", () => {
    expect(parse({ num_classes: 1000 })).toEqual({ inputShape: undefined });
    expect(parse({ labels: null, license: null, mean: null, pretrained_cfg: null })).toEqual({ inputShape: undefined });
  });

  test("of wrong types is an error", () => {
    expect(() => parse({ mean: "none" })).toThrow(FormatError);
    expect(() => parse({ mean: "none" })).toThrow(
      'config.json, field mean: this value is not allowed; received "none"; expected a list of 1 to 4 values.',
    );
    expect(() => parse({ id2label: { 0: 1 } })).toThrow(
      "config.json, field id2label: this object is not allowed; expected a list, each a text, or an object, each value a text.",
    );
    expect(() => parseHubConfig("<html>", "config.json")).toThrow("config.json, character 0: this is not JSON.");
  });
});

test("every name has an architecture, a license and a size", () => {
  expect(namedWeights.map((weights) => [weights.name, weights.license, sizeOfWeights(weights)])).toEqual([
    ["imagenet", "MIT", 91_641_920],
    ["imagenet", "MIT", 4 * 23_851_784],
    ["timm/legacy_xception.tf_in1k", "Apache-2.0", 91_641_920],
    ["timm/xception41.tf_in1k", "Apache-2.0", expect.any(Number)],
    ["timm/xception65.tf_in1k", "Apache-2.0", expect.any(Number)],
    ["timm/xception71.tf_in1k", "Apache-2.0", expect.any(Number)],
    ["timm/xception41p.ra3_in1k", "Apache-2.0", expect.any(Number)],
    ["timm/xception65.ra3_in1k", "Apache-2.0", expect.any(Number)],
    ["timm/xception65p.ra3_in1k", "Apache-2.0", expect.any(Number)],
  ]);
});
