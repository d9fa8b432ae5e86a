import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";
import { root } from "../../scripts/project-root.mjs";
import { FileError } from "../../src/base/errors.ts";
import type { Engine } from "../../src/base/platform.ts";
import { networkFromKeras } from "../../src/formats/keras/network.ts";
import type { WeightRole } from "../../src/graph/layer-weights.ts";
import type { Network } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { openWeightsFile, weightsTargets } from "../../src/model/formats.ts";
import { loadGraph } from "../../src/model/load-model.ts";
import { modelFrom, weightsFor } from "../../src/model/open-weights.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { damaged } from "../formats/damaged.ts";
import { bytesOf, type TfjsFiles } from "../formats/tfjs-model.ts";
import { foldedGraphModel, torchNet, torchXception } from "../model/foreign-graphs.ts";
import { withNumbersBeside } from "../model/onnx-with-data.ts";
import { smallModel } from "../model/small-model.ts";
import { damagedJson, jsonText } from "./json-damage.ts";
import { type FuzzedReader, reader, where } from "./reader.ts";
import {
  damagedOnnx,
  hdf5Fields,
  linkedHdf5,
  lyingFields,
  pickleFields,
  plantedEntries,
  vastHeaders,
} from "./structures.ts";

/** A file, and those that stand beside it. */
interface Files {
  readonly bytes: Uint8Array;
  readonly beside?: Readonly<Record<string, Uint8Array | undefined>>;
  /** Whose weights those of a file without a network are taken for. */
  readonly network?: Network;
}

const formats = join(root, "tests/golden/formats");
export const golden = (name: string): Uint8Array => new Uint8Array(readFileSync(join(formats, name)));
const small = networkFromKeras(strFromU8(unzipSync(golden("small.keras"))["config.json"]!), where).network;
const ours = smallModel({ inputShape: [71, 71, 3], width: 0.02 });

/** As every command and `openModel` read a file: what it is shows in its content. */
async function open({ bytes, beside = {}, network = small }: Files): Promise<void> {
  const readBeside = async (name: string): Promise<Uint8Array> => {
    const found = Object.hasOwn(beside, name) ? beside[name] : undefined;
    if (found) return found;
    throw new FileError({ where: `file "${name}"`, what: "there is no such file" });
  };
  const file = await openWeightsFile({ where, bytes, readBeside });
  if (file.describedNetwork) modelFrom(file, where);
  else weightsFor(network, file, { where });
}

const alone = (arbitrary: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Files> => arbitrary.map((bytes) => ({ bytes }));
const timm = (arbitrary: fc.Arbitrary<Uint8Array>, network = ours.network): fc.Arbitrary<Files> =>
  arbitrary.map((bytes) => ({ bytes, network }));
const damagedFiles = (...files: readonly Uint8Array[]) => alone(fc.oneof(...files.map(damaged)));
const json = (value: unknown): Uint8Array => strToU8(jsonText(value));
const parsed = (bytes: Uint8Array): unknown => JSON.parse(strFromU8(bytes));

/** Bytes of any kind behind what files of the format begin with. */
export function anything(beginning: readonly number[]): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ maxLength: 500 }).map((rest) => Uint8Array.of(...beginning, ...rest));
}

const hdf5Magic = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
const zipMagic = [0x50, 0x4b, 0x03, 0x04];

function hdf5(name: string, ...files: readonly string[]): FuzzedReader {
  const cases = async () =>
    fc.oneof(
      ...files.map((file) => damagedFiles(golden(file))),
      alone(anything(hdf5Magic)),
      ...files.map((file) => alone(lyingFields(golden(file), hdf5Fields(golden(file))))),
    );
  return reader(name, cases, open, { isIsolated: true });
}

/** A zip archive whose directory says something else of its entries than what is there: sizes, places, packing. */
function lyingZip(good: Uint8Array): fc.Arbitrary<Uint8Array> {
  const view = new DataView(good.buffer, good.byteOffset, good.byteLength);
  const directory = view.getUint32(good.length - 6, true);
  const word = fc.oneof(fc.constantFrom(0, 1, 8, 2 ** 31, 2 ** 32 - 1, 2 ** 27 + 1), fc.nat(good.length));
  const lies = fc.array(fc.tuple(fc.integer({ min: directory, max: good.length - 4 }), word), { maxLength: 3 });
  return lies.map((list) => {
    const copy = good.slice();
    for (const [place, value] of list) new DataView(copy.buffer).setUint32(place, value, true);
    return copy;
  });
}

function kerasArchive(): FuzzedReader {
  const good = golden("small.keras");
  const { "config.json": config, "model.weights.h5": weights, "metadata.json": about } = unzipSync(good);
  const archive = (files: Record<string, Uint8Array>) => zipSync(files, { level: 0 });
  const bomb = zipSync({ "config.json": new Uint8Array(2 ** 26), "model.weights.h5": new Uint8Array(2 ** 25) });
  const cases = async () =>
    fc.oneof(
      damagedFiles(good),
      alone(anything(zipMagic)),
      alone(fc.oneof(lyingZip(good), lyingZip(bomb))),
      alone(
        damagedJson(parsed(config!)).map((changed) =>
          archive({ "config.json": json(changed), "model.weights.h5": weights!, "metadata.json": about! }),
        ),
      ),
      alone(damaged(weights!).map((changed) => archive({ "config.json": config!, "model.weights.h5": changed }))),
      alone(plantedEntries({ "config.json": config!, "model.weights.h5": weights! })),
    );
  return reader("keras .keras", cases, open, { isIsolated: true });
}

/** Groups that link to each other, and datasets of other files. */
async function plantedLinks(): Promise<fc.Arbitrary<Files>> {
  const linked = await Promise.all([golden("small-weights-only.h5"), golden("small.weights.h5")].map(linkedHdf5));
  const files = fc.constantFrom(...linked.flat(), golden("virtual.h5"));
  return alone(files.chain((file) => fc.oneof(fc.constant(file), lyingFields(file, hdf5Fields(file)))));
}

async function safetensors(): Promise<fc.Arbitrary<Files>> {
  const { bytes } = await weightsTargets.safetensors.write(ours);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = parsed(bytes.subarray(8, 8 + length)) as { __metadata__: Record<string, string> };
  const { __metadata__, ...withoutMetadata } = header;
  const around = (changed: unknown): Uint8Array => {
    const text = typeof changed === "string" ? strToU8(changed) : json(changed);
    const file = new Uint8Array(8 + text.length + bytes.length - 8 - length);
    new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
    file.set(text, 8);
    file.set(bytes.subarray(8 + length), 8 + text.length);
    return file;
  };
  const inMetadata = Object.entries(__metadata__).find(([, text]) => text.startsWith("{"))!;
  const metadata = damagedJson(JSON.parse(inMetadata[1])).map((changed) =>
    around({ ...header, __metadata__: { ...__metadata__, [inMetadata[0]]: jsonText(changed) } }),
  );
  // The numbers are most of the file, and may be anything.
  const start = fc.array(fc.tuple(fc.nat(length + 100), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((changes) => {
    const copy = bytes.slice();
    for (const [place, value] of changes) copy[place] = value;
    return copy;
  });
  return timm(
    fc.oneof(
      damaged(bytes),
      start,
      anything([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]),
      damagedJson(header).map(around),
      damagedJson(withoutMetadata).map(around),
      vastHeaders.map((header) => around(header)),
      lyingFields(
        bytes,
        Array.from({ length: 8 }, (_, place) => place),
      ),
      metadata,
    ),
  );
}

async function torchZip(): Promise<fc.Arbitrary<Files>> {
  const files = ["torch-xception.pth", "tensors.pth", "checkpoint.pth"].map(golden);
  const inside = files.map((file) => {
    const entries = unzipSync(file);
    const name = Object.keys(entries).find((each) => each.endsWith("/data.pkl"))!;
    // Otherwise the checksum would tell of every change.
    const around = (pickle: Uint8Array) => zipSync({ [name]: pickle, ...{ ...entries, [name]: pickle } }, { level: 0 });
    const opcodes = fc.array(
      fc.constantFrom(...strToU8("(.012FGIJKLMNQPRSTUVXabcdeghijlopqrstu}])\x80\x81\x85\x86\x8a\x8c\x94")),
    );
    const random = opcodes.map((codes) => Uint8Array.of(0x80, 2, ...codes, 0x2e));
    const lying = lyingFields(entries[name]!, pickleFields(entries[name]!));
    const pickles = fc.oneof(damaged(entries[name]!), damaged(entries[name]!), random, lying, lying);
    return fc.oneof(pickles.map(around), lyingZip(file), plantedEntries(entries));
  });
  return timm(fc.oneof(...files.map(damaged), ...inside), torchXception());
}

async function torchLegacy(): Promise<fc.Arbitrary<Files>> {
  const files = ["torch-xception-legacy.pth", "tensors-legacy.pth"].map(golden);
  const [good] = files as [Uint8Array];
  const lying = files.map((file) => lyingFields(file, pickleFields(file)));
  return timm(
    fc.oneof(...files.map(damaged), damaged(good), ...lying, anything([...good.subarray(0, 15)])),
    torchXception(),
  );
}

async function tfjsLayers(): Promise<fc.Arbitrary<Files>> {
  const model = golden("small-tfjs/model.json");
  const beside = {
    "weights-1.bin": golden("small-tfjs/weights-1.bin"),
    "weights-2.bin": golden("small-tfjs/weights-2.bin"),
  };
  const shard = fc.option(damaged(beside["weights-1.bin"]), { nil: undefined });
  return fc.oneof(
    damaged(model).map((bytes) => ({ bytes, beside })),
    damagedJson(parsed(model)).map((changed) => ({ bytes: json(changed), beside })),
    damagedJson((parsed(model) as { weightsManifest: unknown }).weightsManifest).map((changed) => ({
      bytes: json(changed),
      beside,
    })),
    shard.map((changed) => ({ bytes: model, beside: { ...beside, "weights-1.bin": changed } })),
  );
}

async function tfjsGraph(): Promise<fc.Arbitrary<Files>> {
  const network = torchNet();
  const weights = syntheticWeights(network);
  const folded = foldedGraphModel(network, weights);
  const models = [folded, namedGraphModel(network, weights)];
  const shards = Object.assign({}, ...models.map(({ shards }) => shards)) as Record<string, Uint8Array>;
  const [shard = ""] = Object.keys(folded.shards);
  const filesOf = (bytes: Uint8Array, beside = shards): Files => ({ bytes, beside, network });
  return fc.oneof(
    ...models.map(({ model }) => damagedJson(model).map((changed) => filesOf(json(changed)))),
    ...models.map(({ model }) => damaged(json(model)).map((bytes) => filesOf(bytes))),
    damaged(shards[shard]!).map((changed) => filesOf(json(folded.model), { ...shards, [shard]: changed })),
  );
}

/** A graph model that is not folded, whose weights are called after the operations that read them, one of them quantized. */
function namedGraphModel(network: Network, weights: Weights): TfjsFiles {
  const places: Partial<Record<WeightRole, string>> = {
    kernel: "Conv2D/ReadVariableOp",
    depthwiseKernel: "separable_conv2d/ReadVariableOp",
    pointwiseKernel: "separable_conv2d/ReadVariableOp_1",
    gamma: "ReadVariableOp",
    beta: "ReadVariableOp_1",
    movingMean: "FusedBatchNormV3/ReadVariableOp",
    movingVariance: "FusedBatchNormV3/ReadVariableOp_1",
    denseKernel: "MatMul/ReadVariableOp",
    bias: "BiasAdd/ReadVariableOp",
  };
  const specs = network.layers.flatMap((layer) => layer.weights.map((spec) => ({ layer, spec })));
  const described = specs.map(({ layer, spec: { role, shape } }) => ({
    name: `StatefulPartitionedCall/${network.name}/${layer.name}/${places[role]}`,
    shape: [...shape],
    dtype: "float32",
    ...(role === "bias" && { quantization: { dtype: "uint8", min: -1, scale: 0.5 } }),
  }));
  const bytes = specs.map(({ spec: { name, role } }) => {
    const { data } = weights.get(name)!;
    return role === "bias" ? new Uint8Array(data.length) : data;
  });
  return {
    model: {
      format: "graph-model",
      modelTopology: { node: [{ name: "m", op: "Placeholder" }], versions: {} },
      weightsManifest: [{ paths: ["named.bin"], weights: described }],
    },
    shards: { "named.bin": bytesOf(...bytes) },
  };
}

function onnxOfOthers(): FuzzedReader {
  const small = damagedFiles(...["torch-plain.onnx", "torch-folded.onnx"].map(golden));
  const { "model.onnx": graph, "model.onnx.data": numbers } = withNumbersBeside(golden("torch-plain.onnx"));
  const beside = { "model.onnx.data": numbers };
  const apart = fc.oneof(
    damaged(graph).map((bytes) => ({ bytes, beside })),
    damaged(numbers).map((changed) => ({ bytes: graph, beside: { "model.onnx.data": changed } })),
    damagedOnnx(graph).map((bytes) => ({ bytes, beside })),
  );
  const cases = fc.oneof(
    small.map((files) => ({ ...files, network: torchNet() })),
    damagedOnnx(golden("torch-plain.onnx")).map((bytes) => ({ bytes, network: torchNet() })),
    apart.map((files) => ({ ...files, network: torchNet() })),
    damagedFiles(golden("torch-xception.onnx")).map((files) => ({ ...files, network: torchXception() })),
  );
  return reader("ONNX of others", async () => cases, open, { codes: ["FORMAT", "WEIGHTS", "FILE"] });
}

/** Graphs that the engine explains, and runs as they are. */
function runningOnnx(): FuzzedReader {
  // In this process, which is one of its own already.
  const engine: Engine = {
    ...nodePlatform.engine,
    createSession: (model, { isolation: _, ...options } = {}) => nodePlatform.engine.createSession(model, options),
  };
  const run = async ({ bytes }: Files): Promise<void> => {
    const readBeside = () =>
      Promise.reject(new FileError({ where: "a file beside it", what: "there is no such file" }));
    await (await openWeightsFile({ where, bytes, readBeside })).graph?.(engine);
    const { session } = await loadGraph({ where, bytes, readBeside }, {}, engine, { threads: 1 });
    await session.dispose();
  };
  const cases = damagedFiles(...["torch-plain.onnx", "torch-folded.onnx"].map(golden));
  return reader("ONNX of others, run", async () => cases, run, {
    codes: ["FORMAT", "USAGE", "FILE", "RUNTIME_UNAVAILABLE"],
  });
}

/** Everything that weights come in, through the one function that opens it all. */
export const weightsReaders: readonly FuzzedReader[] = [
  hdf5("keras .h5", "small.h5", "small-weights-only.h5"),
  hdf5("keras .weights.h5", "small.weights.h5"),
  reader("keras, planted links", plantedLinks, open, { isIsolated: true }),
  kerasArchive(),
  reader("safetensors", safetensors, open),
  reader("torch .pth", torchZip, open),
  reader("torch .pth, legacy", torchLegacy, open),
  reader("TF.js layers", tfjsLayers, open),
  reader("TF.js graph", tfjsGraph, open),
  onnxOfOthers(),
  runningOnnx(),
];
