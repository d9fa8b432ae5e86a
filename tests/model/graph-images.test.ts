import { expect, it } from "vitest";
import { type GraphImages, probabilitiesOf } from "../../src/model/foreign-graph.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const graph: GraphImages = {
  ...{ input: "x", output: "y", size: [4, 4], channelsFirst: true, channels: 3 },
  givesProbabilities: false,
};
const scores = (values: readonly number[], given = graph) =>
  [...probabilitiesOf(given, floatTensor([1, values.length], Float32Array.from(values)), "g.onnx")].map((each) =>
    Number(each.toFixed(6)),
  );

it("makes probabilities of logits: a softmax of several, a sigmoid of a single one", () => {
  expect(scores([Math.log(1), Math.log(3)])).toEqual([0.25, 0.75]);
  expect(scores([Math.log(3)])).toEqual([0.75]);
  expect(scores([0.25], { ...graph, givesProbabilities: true })).toEqual([0.25]);
});
