import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { strFromU8, unzipSync } from "fflate";
import h5wasm, { type Dataset, type Group } from "h5wasm";
import { beforeAll, describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { readKerasFile } from "../../src/formats/keras/file.ts";
import { networkFromKeras } from "../../src/formats/keras/network.ts";
import {
  type KerasModelParts,
  writeKerasArchive,
  writeKerasWeights,
  writeLegacyModel,
  writeLegacyWeights,
} from "../../src/formats/keras/writer.ts";
import { mapWeights } from "../../src/formats/map-weights.ts";
import { conv2d, dense, input, maxPooling2d, separableConv2d } from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { randomModel } from "./random-model.ts";

const golden = (name: string): Uint8Array => new Uint8Array(readFileSync(join(root, "tests/golden/formats", name)));
const savedAt = new Date(Date.UTC(2026, 10, 23, 17, 9, 33));
const writeArchive = (parts: KerasModelParts) => writeKerasArchive(parts, savedAt);
const where = "the file";

/** The network of the golden files, which real Keras wrote, with its weights. */
async function goldenModel(): Promise<KerasModelParts> {
  const { config, layers } = await readKerasFile(golden("small.keras"), where);
  const { network } = networkFromKeras(config!, where);
  return { network, weights: mapWeights(network, layers, { where }).weights };
}

let small: KerasModelParts;
beforeAll(async () => {
  small = await goldenModel();
});

/** Groups, values and attributes of an HDF5 file by path, as the library sees them. */
async function contentOf(bytes: Uint8Array): Promise<Map<string, unknown>> {
  const { FS } = await h5wasm.ready;
  FS.writeFile("content.h5", bytes);
  const file = new h5wasm.File("content.h5", "r");
  const content = new Map<string, unknown>();
  const visit = (item: Group | Dataset): void => {
    for (const [name, { value, dtype, shape }] of Object.entries(item.attrs)) {
      content.set(`${item.path}@${name}`, { value, dtype, shape });
    }
    if (item instanceof h5wasm.Dataset)
      content.set(item.path, { value: item.value, dtype: item.dtype, shape: item.shape });
    else for (const key of item.keys()) visit(item.get(key) as Group | Dataset);
  };
  visit(file);
  file.close();
  return content;
}

describe("what is written is read back as it was, to the last bit", () => {
  const weightsAlone = [
    ["weights.h5", writeKerasWeights],
    ["h5 weights", writeLegacyWeights],
  ] as const;
  const models = [
    ["keras", writeArchive],
    ["h5", writeLegacyModel],
  ] as const;

  test.each([...weightsAlone, ...models])(
    "%s",
    async (format, write) => {
      await fc.assert(
        fc.asyncProperty(randomModel, fc.option(fc.string(), { nil: undefined }), async (model, metadata) => {
          const file = await readKerasFile(await write({ ...model, metadata }), where);
          expect(file.format).toBe(format);
          expect(file.metadata).toBe(metadata);
          if (file.config !== undefined) {
            expect(networkFromKeras(file.config, where)).toEqual({ network: model.network });
          }
          if (model.weights.size === 0) return;
          const { weights } = mapWeights(model.network, file.layers, { where });
          expect([...weights.keys()]).toEqual([...model.weights.keys()]);
          for (const [name, { data }] of weights) {
            expect(new Uint32Array(data.buffer)).toEqual(new Uint32Array(model.weights.get(name)!.data.buffer));
          }
        }),
        { numRuns: 60 },
      );
    },
    60_000,
  );
});

describe("files are those that Keras itself wrote of the same network", () => {
  test(".weights.h5: every group, attribute and number", async () => {
    expect(await contentOf(await writeKerasWeights(small))).toEqual(await contentOf(golden("small.weights.h5")));
  });

  test("older weights: all but the version, and names that end in :0 as they did then", async () => {
    const ours = await contentOf(await writeLegacyWeights(small));
    const theirs = await contentOf(golden("small-weights-only.h5"));
    const renamed = [...theirs].map(([path, item]) => {
      const value = (item as { value: unknown }).value;
      if (path.endsWith("@weight_names") && Array.isArray(value) && value.length > 0) {
        return [path, { ...(item as object), value: value.map((name) => `${name}:0`) }] as const;
      }
      return [path.includes("@") ? path : `${path}:0`, item] as const;
    });
    expect((ours.get("/@keras_version") as { value: string }).value).toBe("2.15.0");
    // h5py marks these names as ASCII ("A"), we as UTF-8 ("S"): layers may have any name.
    const strip = (entries: Iterable<readonly [string, unknown]>) =>
      new Map(
        [...entries]
          .filter(([path]) => path !== "/@keras_version")
          .map(([path, item]) => [
            path,
            (item as { dtype: string }).dtype === "A" ? { ...(item as object), dtype: "S" } : item,
          ]),
      );
    expect(strip(ours)).toEqual(strip(renamed));
  });

  test(".keras: entries, weights, and every field of the config that all versions of Keras 3 know", async () => {
    const ours = unzipSync(await writeArchive(small));
    const theirs = unzipSync(golden("small.keras"));
    expect(Object.keys(ours)).toEqual(Object.keys(theirs));
    expect(JSON.parse(strFromU8(ours["metadata.json"]!))).toEqual({
      ...(JSON.parse(strFromU8(theirs["metadata.json"]!)) as object),
      keras_version: "3.3.0",
    });
    // Defaults that came later; an object that others refer to is written out in each place.
    const recent = ["renorm", "renorm_clipping", "renorm_momentum", "quantization_config", "input_axes", "output_axes"];
    const omitted = new Set([...recent, "ragged", "optional", "shared_object_id"]);
    const config = (entry: Uint8Array) =>
      JSON.parse(strFromU8(entry), (key, value) => (omitted.has(key) ? undefined : value));
    expect(config(ours["config.json"]!)).toEqual(config(theirs["config.json"]!));
    expect(await contentOf(ours["model.weights.h5"]!)).toEqual(await contentOf(theirs["model.weights.h5"]!));
  });
});

test("where a convolution is padded by pixels, the config has what Keras 3.15.1 saved of it", async () => {
  const x = conv2d(input([86, 101, 3], { name: "input_layer" }), {
    filters: 4,
    kernelSize: 3,
    strides: 2,
    padding: 1,
    name: "stem_conv1",
  });
  const net = network("n", x);
  const archive = unzipSync(await writeArchive({ network: net, weights: syntheticWeights(net) }));
  const { config } = JSON.parse(strFromU8(archive["config.json"]!)) as { config: { layers: object[] } };
  expect(config.layers[1]).toEqual({
    module: "keras.layers",
    class_name: "ZeroPadding2D",
    config: {
      name: "stem_conv1_pad",
      trainable: true,
      dtype: { module: "keras", class_name: "DTypePolicy", config: { name: "float32" }, registered_name: null },
      padding: [
        [1, 1],
        [1, 1],
      ],
      data_format: "channels_last",
    },
    registered_name: null,
    build_config: { input_shape: [null, 86, 101, 3] },
    name: "stem_conv1_pad",
    inbound_nodes: [
      {
        args: [
          {
            class_name: "__keras_tensor__",
            config: { shape: [null, 86, 101, 3], dtype: "float32", keras_history: ["input_layer", 0, 0] },
          },
        ],
        kwargs: {},
      },
    ],
  });
  expect(config.layers[2]).toMatchObject({ name: "stem_conv1", config: { padding: "valid", strides: [2, 2] } });
  const [tensor] = (config.layers[2] as { inbound_nodes: { args: { config: object }[] }[] }).inbound_nodes[0]!.args;
  expect(tensor!.config).toMatchObject({ shape: [null, 88, 103, 3], keras_history: ["stem_conv1_pad", 0, 0] });
});

test("older weights of Xception have the layers and names of keras.applications", async () => {
  const net = xception({ width: 0.01, classes: 2 });
  const content = await contentOf(await writeLegacyWeights({ network: net, weights: syntheticWeights(net) }));
  const listed = JSON.parse(readFileSync(join(root, "tests/golden/xception-paper-299.layers.json"), "utf8")) as {
    layers: { name: string }[];
  };
  const { value } = content.get("/@layer_names") as { value: string[] };
  expect(value).toEqual(listed.layers.map(({ name }) => name));
  expect((content.get("/block1_conv1_bn@weight_names") as { value: string[] }).value).toEqual([
    "block1_conv1_bn/gamma:0",
    "block1_conv1_bn/beta:0",
    "block1_conv1_bn/moving_mean:0",
    "block1_conv1_bn/moving_variance:0",
  ]);
  expect(content.has("/block1_conv1/block1_conv1/kernel:0")).toBe(true);
});

test("what Keras cannot compute is refused, and missing weights are", async () => {
  const maps = separableConv2d(input([8, 8, 3]), { filters: 2, kernelSize: 3, intermediateActivation: "relu" });
  const net = network("n", maps);
  const parts = { network: net, weights: syntheticWeights(net) };
  await expect(writeArchive(parts)).rejects.toThrow(
    'SeparableConv2D "separable_conv2d": Keras has no such layer: an activation between the steps of a separable convolution; received "relu". Convert to .weights.h5 or .onnx, which hold the weights of any network.',
  );
  expect((await readKerasFile(await writeKerasWeights(parts), where)).layers).toHaveLength(1);
  const padded = network("padded", maxPooling2d(input([8, 8, 3]), { kernelSize: 3, strides: 2, padding: 1 }));
  await expect(writeArchive({ network: padded, weights: new Map() })).rejects.toThrow(
    'MaxPooling2D "max_pooling2d": Keras has no such layer: pooling padded by this many pixels; received [1, 1].',
  );
  const other = network("other", dense(input([3]), { units: 2 }));
  await expect(writeLegacyWeights({ network: other, weights: new Map() })).rejects.toThrow(
    "weights of other: they are not the weights of this network; missing: dense/kernel, dense/bias.",
  );
});
