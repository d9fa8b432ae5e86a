import { describe, expect, test } from "vitest";
import { fitHead, type HeadData, holdOut, readsEmbedding } from "../../apps/web/teach/head.ts";
import {
  conv2d,
  dense,
  dropout,
  globalAveragePooling2d,
  globalMaxPooling2d,
  input,
  type LayerOutput,
} from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { alignedXception } from "../../src/models/aligned/network.ts";
import { inceptionV3 } from "../../src/models/inception/v3.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { mulberry32 } from "../../src/tensor/random.ts";

/** Three clouds of points in twelve channels of different size, in turn, every fifth held out. */
function clouds(images: number): HeadData {
  const [channels, classes] = [12, 3];
  const random = mulberry32(7);
  const labels = Uint16Array.from({ length: images }, (_, image) => image % classes);
  const embeddings = Float32Array.from({ length: images * channels }, (_, place) => {
    const [image, channel] = [Math.floor(place / channels), place % channels];
    const center = channel % classes === labels[image] ? 1.5 : 0;
    return (channel + 1) * (center + random() - 0.5) + 20;
  });
  return { embeddings, channels, labels, classes, heldOut: holdOut(labels) };
}

describe("classifier on embeddings", () => {
  const data = clouds(90);
  const { kernel, bias, history, probabilities } = fitHead(data);

  test("tells the clouds apart, those held out too", () => {
    expect(history.at(-1)).toMatchObject({ accuracy: 1, heldOutAccuracy: 1 });
    expect(history.at(-1)!.loss).toBeLessThan(history[0]!.loss / 2);
  });

  test("applies to embeddings as they are: softmax(x · kernel + bias)", () => {
    for (let image = 0; image < 90; image++) {
      const scores = Array.from(bias, (offset, each) =>
        data.embeddings
          .subarray(12 * image, 12 * (image + 1))
          .reduce((sum, value, channel) => sum + value * kernel[channel * 3 + each]!, offset),
      );
      const sum = scores.reduce((total, score) => total + Math.exp(score), 0);
      for (const [each, score] of scores.entries()) {
        expect(probabilities[3 * image + each]).toBeCloseTo(Math.exp(score) / sum, 4);
      }
    }
  });

  test("reports the cross-entropy and the accuracy of its probabilities", () => {
    const mean = (part: number) => {
      const rows = [...data.labels.keys()].filter((image) => data.heldOut[image] === part);
      return (
        rows.reduce((sum, image) => sum - Math.log(probabilities[3 * image + data.labels[image]!]!), 0) / rows.length
      );
    };
    expect(history.at(-1)!.loss).toBeCloseTo(mean(0), 6);
    expect(history.at(-1)!.heldOutLoss).toBeCloseTo(mean(1), 6);
  });

  test("approaches labels smoothed by a tenth, and is never surer", () => {
    // (1 − 0.1) + 0.1 / 3: where the smoothed cross-entropy is smallest.
    const best = Array.from({ length: 90 }, (_, image) =>
      Math.max(...probabilities.subarray(3 * image, 3 * image + 3)),
    );
    const average = best.reduce((sum, value) => sum + value, 0) / 90;
    expect(average).toBeGreaterThan(0.8);
    expect(average).toBeLessThan(0.97);
  });

  test("is the same for the same data", () => {
    expect(fitHead(clouds(90))).toEqual(fitHead(clouds(90)));
  });
});

test("every fifth image of a class is held out, none of a class with fewer than five", () => {
  expect([...holdOut(Uint16Array.from([0, 0, 1, 0, 0, 0, 1, 1, 1]))]).toEqual([0, 0, 0, 0, 0, 1, 0, 0, 0]);
});

describe("networks that can be taught by a classifier on their embeddings", () => {
  const built = (head: (maps: LayerOutput) => LayerOutput) =>
    network("built", head(conv2d(input([8, 8, 3]), { filters: 4, kernelSize: 3 })));
  const classifier = { units: 2, activation: "softmax" } as const;

  test.each([
    ["Xception of the paper", xception()],
    ["Xception of the article", xception({ variant: "tutorial" })],
    ["Inception V3", inceptionV3()],
    ["aligned Xception", alignedXception({ variant: "65" })],
    ["with dropout", built((maps) => dense(dropout(globalAveragePooling2d(maps), 0.5), classifier))],
  ])("%s", (_, built) => expect(readsEmbedding(built)).toBe(true));

  test.each([
    ["another layer", built((maps) => dense(dense(globalAveragePooling2d(maps), { units: 4 }), classifier))],
    ["another pooling", built((maps) => dense(globalMaxPooling2d(maps), classifier))],
    ["no classifier", built((maps) => globalAveragePooling2d(maps))],
  ])("not with %s", (_, built) => expect(readsEmbedding(built)).toBe(false));
});
