import { describe, expect, it } from "vitest";
import { inceptionV3 } from "../../src/models/inception/v3.ts";
import { blocksOf, topOn } from "../../src/models/parts.ts";
import { xception } from "../../src/models/xception/paper.ts";

const network = xception({ classes: 5, dropout: 0.5, fcUnits: [16], seed: 3 });

describe("blocks of a network", () => {
  it("are told by names, and by place where names do not say", () => {
    const blocks = blocksOf(network);
    const members = (block: string) => [...blocks].filter(([, each]) => each === block).map(([name]) => name);
    expect(members("block13")).toEqual([
      "block13_sepconv1_act",
      "block13_sepconv1",
      "block13_sepconv1_bn",
      "block13_sepconv2_act",
      "block13_sepconv2",
      "block13_sepconv2_bn",
      "conv2d_3",
      "block13_pool",
      "batch_normalization_3",
      "add_11",
    ]);
    expect(members("input_layer")).toEqual(["input_layer"]);
    expect(members("top")).toEqual(["avg_pool", "fc1", "dropout", "predictions"]);
    expect(new Set(blocks.values()).size).toBe(16);
  });

  it("of Inception end where its branches are joined, after a stem of single layers", () => {
    const blocks = blocksOf(inceptionV3({ inputShape: [75, 75, 3], width: 0.1 }));
    const names = [
      "max_pooling2d_1",
      "conv2d_5",
      "mixed0",
      "conv2d_84",
      "conv2d_85",
      "mixed9_1",
      "mixed10",
      "avg_pool",
    ];
    expect(names.map((name) => blocks.get(name))).toEqual([
      "max_pooling2d_1",
      "mixed0",
      "mixed0",
      "mixed9",
      "mixed10",
      "mixed10",
      "mixed10",
      "top",
    ]);
    // 9 convolutions with normalization and activation, a pooling, 3 concatenations.
    expect([...blocks.values()].filter((block) => block === "mixed10")).toHaveLength(31);
    expect(new Set(blocks.values()).size).toBe(18 + 11 + 1);
  });
});

describe("a top on an earlier layer", () => {
  it("leaves out what comes after that layer, and keeps all else", () => {
    const shorter = topOn(network, "block13");
    const names = network.layers.map(({ name }) => name);
    const without = names.filter((name) => !name.startsWith("block14"));
    expect(shorter.layers.map(({ name }) => name)).toEqual(without);
    const layer = (name: string) => shorter.layers.find((each) => each.name === name);
    expect(layer("avg_pool")).toMatchObject({ inbound: ["add_11"], outputShape: [1024] });
    expect(layer("fc1")!.weights[0]!.shape).toEqual([1024, 16]);
    expect(layer("predictions")!.weights[0]!.shape).toEqual([16, 5]);
    expect(shorter).toMatchObject({ name: "xception", output: "predictions", seed: 3 });
    expect(topOn(network, "add_11")).toEqual(shorter);
  });

  it("leaves out side branches that nothing reads any more", () => {
    const names = topOn(network, "block13_sepconv2_bn").layers.map(({ name }) => name);
    expect(names.slice(-6)).toEqual([
      "block13_sepconv2",
      "block13_sepconv2_bn",
      "avg_pool",
      "fc1",
      "dropout",
      "predictions",
    ]);
    expect(names).not.toContain("conv2d_3");
  });

  it("can stand on no layer that is not there, has no feature maps, or comes after it", () => {
    expect(() => topOn(network, "block15")).toThrow(
      'network "xception": it has no layer and no block of this name; received "block15"; expected one of input_layer, ' +
        "block1, block2, block3, block4, block5, block6, block7, block8, block9, block10, block11, block12, block13, " +
        "block14, top, or a layer that xception summary lists.",
    );
    const refusal = (place: string) =>
      `network "xception": the classifier cannot be attached there; received "${place}"; expected a layer of feature maps before ` +
      "the last global pooling.";
    expect(() => topOn(network, "fc1")).toThrow(refusal("fc1"));
    expect(() => topOn(xception({ includeTop: false }), "block13")).toThrow(refusal("block13"));
  });
});
