import { readFileSync } from "node:fs";
import { join } from "node:path";
import { strToU8, zipSync } from "fflate";
import h5wasm from "h5wasm";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { readKerasFile } from "../../src/formats/keras/file.ts";
import { readHdf5 } from "../../src/formats/keras/hdf5.ts";

type Hdf5File = InstanceType<typeof h5wasm.File>;

const where = "the file";
const small = new Uint8Array(readFileSync(join(root, "tests/golden/formats/small.h5")));

async function hdf5(write: (file: Hdf5File) => void): Promise<Uint8Array> {
  const { FS } = await h5wasm.ready;
  const file = new h5wasm.File("test.h5", "w");
  write(file);
  file.close();
  return FS.readFile("test.h5");
}

test("every format is told by its content", async () => {
  const names = ["small.keras", "small.h5", "small-weights-only.h5", "small.weights.h5"];
  const read = names.map((name) => readKerasFile(readFileSync(join(root, "tests/golden/formats", name)), name));
  expect((await Promise.all(read)).map(({ format }) => format)).toEqual(["keras", "h5", "h5 weights", "weights.h5"]);
});

test("a list that needs several attributes is put together", async () => {
  const bytes = await hdf5((file) => {
    file.create_attribute("layer_names0", ["a"]);
    file.create_attribute("layer_names1", ["b"]);
    for (const name of ["a", "b"]) {
      const group = file.create_group(name);
      group.create_attribute("weight_names", ["kernel:0"]);
      group.create_dataset({ name: "kernel:0", data: new Float64Array([1.5, 2]), shape: [2] });
    }
  });
  const { layers } = await readKerasFile(bytes, where);
  expect(layers.map(({ name }) => name)).toEqual(["a", "b"]);
  expect(layers[0]!.weights[0]!.tensor).toEqual({ type: "float32", shape: [2], data: new Float32Array([1.5, 2]) });
});

describe("refuses", () => {
  const legacy = (data: Float32Array | Int32Array | undefined, shape: number[], chunks?: number[]) =>
    hdf5((file) => {
      file.create_attribute("layer_names", ["a"]);
      const group = file.create_group("a");
      group.create_attribute("weight_names", ["kernel:0"]);
      if (data) group.create_dataset({ name: "kernel:0", data, shape, ...(chunks && { chunks, compression: 9 }) });
    });
  const weightsH5 = "model.weights.h5";

  test.each<[string, () => Uint8Array | Promise<Uint8Array>, string]>([
    [
      "another kind of file",
      () => strToU8("GIF89a-image"),
      'the file: this is not a Keras file; received "the bytes 47 49 46 38 39 61 2d 69 at offset 0"; expected HDF5 (.h5, .hdf5, .weights.h5) or a zip archive (.keras).',
    ],
    [
      "a file cut short",
      () => small.slice(0, 20000),
      "the file: the HDF5 file is damaged (truncated file: eof = 20000, sblock->base_addr = 0, stored_eof = 61088).",
    ],
    [
      "HDF5 of others",
      () => hdf5((file) => file.create_group("data")),
      'the file: the HDF5 file has no Keras weights; received ["data"]; expected an attribute "layer_names", or groups "model_weights" or "layers".',
    ],
    [
      "a model without names of its layers",
      () =>
        hdf5((file) => {
          file.create_attribute("model_config", "{}");
          file.create_group("model_weights");
        }),
      'the file: group "model_weights" has no attribute "layer_names".',
    ],
    [
      "a layer that is not there",
      () => hdf5((file) => file.create_attribute("layer_names", ["a"])),
      'the file: layer "a" has no list of its weights.',
    ],
    ["a weight that is not there", () => legacy(undefined, []), 'the file: layer "a" has no weight "kernel:0".'],
    [
      "whole numbers",
      () => legacy(new Int32Array(3), [3]),
      'the file, dataset /a/kernel:0: unsupported data type for weights; received "HDF5 type 0 of 4 bytes"; expected float32 or float64, little-endian.',
    ],
    [
      "more numbers than the file can hold",
      () => legacy(new Float32Array(1e5), [1e5], [1e5]),
      'the file, dataset /a/kernel:0: the file claims to hold more than it can; received "4000',
    ],
    [
      "a group where a weight should be",
      () => hdf5((file) => file.create_group("layers").create_group("dense").create_group("vars").create_group("0")),
      'the file: "layers/dense/vars/0" is not a weight.',
    ],
    [
      "models without end",
      () =>
        hdf5((file) => {
          const dense = file.create_group("layers").create_group("m");
          dense.create_hard_link("/layers", "layers");
        }),
      'the file: models are nested too deeply at "layers/m/layers/m/',
    ],
    [
      "half an archive",
      () => zipSync({ "config.json": small }).slice(0, 500),
      "the file: the zip archive is damaged (",
    ],
    [
      "an archive of others",
      () => zipSync({ "../config.json": strToU8("{}"), "/etc/passwd": strToU8("x") }),
      'the file: the zip archive has no "config.json"; expected a Keras model: config.json and model.weights.h5.',
    ],
    [
      "an archive with a changed weight",
      () => {
        const bytes = new Uint8Array(readFileSync(join(root, "tests/golden/formats/small.keras")));
        bytes[bytes.length - 20000]! ^= 1;
        return bytes;
      },
      "the file, entry model.weights.h5: its content does not match its checksum. The file is damaged: copy or download it again.",
    ],
    [
      "a zip bomb",
      () => zipSync({ "config.json": strToU8("{}"), [weightsH5]: new Uint8Array(1e6) }),
      'the file, entry model.weights.h5: it claims to be larger than it can be; received "1000000 bytes"; expected at most',
    ],
    [
      "other weights in an archive",
      () => zipSync({ "config.json": strToU8("{}"), [weightsH5]: strToU8("no weights") }),
      "the file, entry model.weights.h5: the HDF5 file is damaged (file signature not found).",
    ],
  ])("%s", async (_, make, message) => {
    await expect(readKerasFile(await make(), where)).rejects.toThrow(message);
  });
});

test("a virtual dataset is read from this file, and refused where its source is missing", async () => {
  const bytes = new Uint8Array(readFileSync(join(root, "tests/golden/formats/virtual.h5")));
  const kernelOf = (group: string) =>
    readHdf5(bytes, "virtual.h5", (file) => [...file.group(group)!.tensor("dense/kernel")!.data]);
  expect(await kernelOf("here")).toEqual([0, 1, 2, 3, 4, 5]);
  await expect(kernelOf("gone")).rejects.toThrow(
    'virtual.h5, dataset /gone/dense/kernel: it is a virtual dataset whose source is missing; received "dataset \\"removed\\" of file \\".\\""; expected numbers stored in this file.',
  );
  await expect(kernelOf("outside")).rejects.toThrow('received "dataset \\"stored\\" of file \\"other.h5\\""');
});
