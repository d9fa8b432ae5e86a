import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { fitting } from "../../src/base/schema.ts";
import type { LayerConfig } from "../../src/graph/layers.ts";
import { architectureSchema } from "../../src/models/architecture-schema.ts";
import { type Architecture, architectureOf, buildNetwork } from "../../src/models/registry.ts";
import { xception } from "../../src/models/xception/paper.ts";

type ListedLayer = Extract<Architecture, { family: "layers" }>["layers"][number];

const images: ListedLayer = { name: "images", config: { type: "InputLayer", shape: [8, 8, 3] }, inbound: [] };
const maps: ListedLayer = {
  name: "maps",
  config: { type: "Conv2D", filters: 4, kernelSize: [3, 3], strides: [1, 1], padding: "same", useBias: true },
  inbound: ["images"],
};

function list(layers: readonly ListedLayer[], output = layers.at(-1)!.name): Architecture {
  return { family: "layers", name: "net", layers, output, seed: 0 };
}

function reading(name: string, config: LayerConfig, ...inbound: string[]): ListedLayer {
  return { name, config, inbound };
}

function refusal(architecture: Architecture): string {
  try {
    buildNetwork(architecture);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it was not refused");
}

function readRefusal(document: unknown): string {
  try {
    fitting(architectureSchema, document, "the file");
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return (error as Error).message;
  }
  throw new Error("it was not refused");
}

test.each([
  { variant: "paper", width: 0.25, dropout: 0.5, fcUnits: [7], seed: 3 },
  { variant: "tutorial", width: 0.25 },
  { includeTop: false, pooling: "max", width: 0.25 },
] as const)("a network is the same after it was a list of layers in JSON: %o", (options) => {
  const network = xception(options);
  const stored: unknown = JSON.parse(JSON.stringify(architectureOf(network)));
  expect(buildNetwork(fitting(architectureSchema, stored, "the file"))).toEqual(network);
});

describe("a list that is no network is refused", () => {
  test.each([
    ["a layer that reads a later one", list([images, reading("relu", { type: "ReLU" }, "maps"), maps])],
    ["one that reads itself", list([images, reading("relu", { type: "ReLU" }, "relu")])],
    ["an unknown output", list([images, maps], "nowhere")],
    ["no input", list([{ ...maps, inbound: [] }])],
    ["a second input", list([images, { ...images, name: "more" }])],
    ["a layer with too many inputs", list([images, reading("relu", { type: "ReLU" }, "images", "images")])],
    ["a layer without use", list([images, maps, reading("relu", { type: "ReLU" }, "images")])],
    ["two layers of a name", list([images, maps, maps])],
    ["shapes that do not fit", list([images, maps, reading("sum", { type: "Add" }, "images", "maps")])],
    ["a rate that is none", list([images, reading("drop", { type: "Dropout", rate: 2 }, "images")])],
  ])("%s", (name, architecture) => {
    expect(refusal(architecture)).toMatchSnapshot(name);
  });
});

describe("a document that is no list of layers is refused", () => {
  const good = JSON.parse(JSON.stringify(list([images, maps])));
  test.each([
    ["another family", { ...good, family: "lenet" }],
    ["an unknown kind of layer", { ...good, layers: [{ ...maps, config: { type: "Lambda" } }] }],
    ["an option that we do not know", { ...good, layers: [{ ...maps, config: { ...maps.config, dilation: 2 } }] }],
    ["an absurd size", { ...good, layers: [{ ...maps, config: { ...maps.config, filters: 1e12 } }] }],
    ["too many layers", { ...good, layers: Array.from({ length: 2001 }, () => maps) }],
    ["no layers", { ...good, layers: [] }],
  ])("%s", (name, document) => {
    expect(readRefusal(document)).toMatchSnapshot(name);
  });
});
