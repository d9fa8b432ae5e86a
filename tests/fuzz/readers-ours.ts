import fc from "fast-check";
import { strFromU8, strToU8 } from "fflate";
import { sha256 } from "../../src/base/checksums.ts";
import { parseLabels, parseMapWeights } from "../../src/data/labels.ts";
import { averageScores } from "../../src/learning/class-scores.ts";
import { decodeModel, describeModel } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { parseGolden } from "../../src/tasks/verify/golden.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import type { Checkpoint } from "../../src/train/checkpoint.ts";
import { decodeBest, decodeCheckpoint, encodeBest, encodeCheckpoint } from "../../src/train/checkpoint-file.ts";
import { decodeFeatures, encodeFeatures } from "../../src/train/frozen-features.ts";
import { damaged } from "../formats/damaged.ts";
import { smallModel } from "../model/small-model.ts";
import { ModelProto } from "../oracles/onnx-proto.ts";
import { damagedJson, jsonText as text } from "./json-damage.ts";
import { type FuzzedReader, reader, where } from "./reader.ts";

const damagedText = (good: string): fc.Arbitrary<string> => damaged(strToU8(good)).map((bytes) => strFromU8(bytes));

async function models(): Promise<fc.Arbitrary<Uint8Array>> {
  const good = encodeModel(smallModel({ inputShape: [71, 71, 3], width: 0.02 }));
  interface Stored {
    metadata_props: { key: string; value: string }[];
  }
  const stored = ModelProto.decode(good) as unknown as Stored;
  const [about] = stored.metadata_props;
  const inDocument = damagedJson(JSON.parse(about!.value)).map((changed) => {
    const [, ...others] = stored.metadata_props;
    return ModelProto.encode({ ...stored, metadata_props: [{ ...about!, value: text(changed) }, ...others] }).finish();
  });
  // Weights are most of the file and may be anything: nodes are at its start, the document at its end.
  const place = fc.oneof(fc.nat(20_000), fc.integer({ min: good.length - 1500, max: good.length - 1 }));
  const changes = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 }).map((list) => {
    const copy = good.slice();
    for (const [at, value] of list) copy[Math.min(at, copy.length - 1)] = value;
    return copy;
  });
  // Groups within groups, which the wire format still knows.
  const nested = fc.integer({ min: 1, max: 200_000 }).map((depth) => new Uint8Array(depth).fill(0x0b).fill(8, 0, 2));
  const random = fc.uint8Array({ maxLength: 300 }).map((rest) => Uint8Array.of(8, 8, 0x3a, ...rest));
  return fc.oneof(damaged(good), changes, inDocument, random, { weight: 1, arbitrary: nested });
}

function readModel(bytes: Uint8Array): void {
  describeModel(bytes, where);
  decodeModel(bytes, where);
}

const weights = new Map([["dense/kernel", floatTensor([2, 1], Float32Array.of(0.1, -0))]]);
const evaluation = {
  images: 1,
  top1: 1,
  top5: 1,
  loss: 0.3,
  averages: averageScores([]),
  perClass: [],
  confusion: [[1]],
};
const best = {
  weights,
  epoch: 2,
  steps: 9,
  test: {
    evaluation,
    predictions: [
      { file: "a/1.png", truth: "a", predicted: "a", probability: 0.5, truthProbability: 0.5, truthRank: 1 },
    ],
    skipped: [{ file: "a/2.png", reason: "damaged" }],
  },
};
const checkpoint: Checkpoint = {
  identity: { batchSize: 8, classes: ["a", "b"] },
  phase: "network",
  isOver: false,
  epoch: {
    index: 2,
    position: 16,
    stepsBefore: 9,
    stepsPerEpoch: 4,
    learningRate: 1e-3,
    tally: { steps: 2, loss: 1 / 3, images: 16, right: 5 },
    pace: { steps: 2, secondsOfSteps: 0.5, seconds: 0.75 },
  },
  state: { tensors: weights, steps: 11 },
  history: [{ epoch: 1, loss: 0.1, accuracy: 0.5, learningRate: 0.01, imagesPerSecond: 7, seconds: 1.5 }],
  best,
  skipped: [{ file: "a/1.png", reason: "it is empty" }],
  validationSkipped: [],
};

/** Damage that the checksum tells, and damage with a checksum that was made for it. */
async function checkpoints(): Promise<fc.Arbitrary<{ readonly bytes: Uint8Array; readonly signed: boolean }>> {
  const files = await Promise.all([encodeCheckpoint(checkpoint), encodeBest(best)]);
  const around = files.map((bytes) => {
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(strFromU8(bytes.subarray(8, 8 + length)));
    const document = JSON.parse(header.__metadata__.checkpoint);
    return damagedJson(document).map((changed) => {
      const metadata = { ...header.__metadata__, checkpoint: text(changed) };
      const json = strToU8(text({ ...header, __metadata__: metadata }));
      const data = bytes.subarray(8 + length);
      const file = new Uint8Array(8 + json.length + data.length);
      file.set(json, 8);
      file.set(data, 8 + json.length);
      new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
      return file;
    });
  });
  return fc.record({ bytes: fc.oneof(...files.map(damaged), ...around), signed: fc.boolean() });
}

async function readCheckpoint({ bytes, signed }: { bytes: Uint8Array; signed: boolean }): Promise<void> {
  const content = signed ? await withChecksum(bytes) : bytes;
  const isBest = strFromU8(content.subarray(0, 2000), true).includes("best weights");
  await (isBest ? decodeBest : decodeCheckpoint)(content, where);
}

async function withChecksum(bytes: Uint8Array): Promise<Uint8Array> {
  const header = strFromU8(bytes, true);
  const place = header.search(/"sha256":"[0-9a-f]{64}"/) + '"sha256":"'.length;
  if (place < '"sha256":"'.length) return bytes;
  const copy = bytes.slice();
  copy.fill(0x30, place, place + 64);
  copy.set(strToU8(await sha256(copy)), place);
  return copy;
}

const featureKey = "0".repeat(64);

async function features(): Promise<fc.Arbitrary<Uint8Array>> {
  const values = floatTensor([3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));
  const good = await encodeFeatures({ values, samples: Uint32Array.of(0, 2, 1) }, featureKey);
  // Its checksum tells of every damage.
  return fc.oneof({ weight: 9, arbitrary: damaged(good) }, { weight: 1, arbitrary: fc.constant(good) });
}

async function goldenValues(): Promise<fc.Arbitrary<string>> {
  const tap = { shape: [1, 2, 3], std: 0.5, mean: 0, min: -1, max: 1, at: [0, 5], values: [0.1, 0.2] };
  const architecture = { family: "xception", options: { inputShape: [71, 71, 3], classes: 3 } };
  const good = { architecture, taps: { add: tap }, probabilities: [[0.1, 0.2, 0.7]] };
  return fc.oneof(damagedText(text(good)), damagedJson(good).map(text), fc.string());
}

async function labels(): Promise<fc.Arbitrary<string>> {
  const document = { "a/1.jpg": ["cat", "dog"], "b,2.jpg": ["owl"] };
  const lines = 'file,labels\na/1.jpg,cat;dog\n"b,2.jpg",owl\n';
  return fc.oneof(damagedText(text(document)), damagedJson(document).map(text), damagedText(lines), fc.string());
}

/** Files of this package, and lists that people write. */
export const ourReaders: readonly FuzzedReader[] = [
  reader("model file", models, readModel),
  reader("checkpoint", checkpoints, readCheckpoint, { codes: ["FORMAT", "TRAINING"] }),
  reader("features", features, (content) => decodeFeatures(content, featureKey, where)),
  reader("golden values", goldenValues, (content) => parseGolden(content, where)),
  reader("labels", labels, (content) => parseLabels(content, where)),
  reader(
    "class weights",
    async () => damagedJson({ cat: 1, dog: 0.5 }).map(text),
    (content) => parseMapWeights(content, ["cat", "dog"], where),
    { codes: ["FORMAT", "DATA"] },
  ),
];
