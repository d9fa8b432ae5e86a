import { describe, expect, test } from "vitest";
import { boxSize, layOut } from "../../apps/web/inside/layout.ts";
import { inceptionV3 } from "../../src/models/inception/v3.ts";
import { xception } from "../../src/models/xception/paper.ts";

describe("layout of the graph", () => {
  const { columns, layers } = layOut(xception());
  const at = (name: string) => layers.find(({ layer }) => layer.name === name)!;

  test("has the flows side by side, the long one in two columns", () => {
    expect(columns.map(({ title }) => title)).toEqual([
      "Entry flow",
      "Middle flow",
      "Middle flow, continued",
      "Exit flow",
    ]);
    expect(
      ["block4_sepconv1", "block5_sepconv1", "block12_sepconv3", "block13_sepconv1"].map((name) => at(name).column),
    ).toEqual([0, 1, 2, 3]);
  });

  test("puts the shortcut beside the two layers that it runs along", () => {
    const [convolution, normalization] = [at("conv2d"), at("batch_normalization")];
    expect(convolution.x).toBe(boxSize.laneWidth);
    expect([convolution.y, normalization.y]).toEqual([at("block2_sepconv2_bn").y, at("block2_pool").y]);
    expect(at("add").x).toBe(0);
  });

  test.each([
    ["xception", xception()],
    ["inception-v3", inceptionV3()],
  ])("gives every layer of %s its own place, below its inputs", (_, network) => {
    const placed = layOut(network).layers;
    expect(placed.map(({ layer }) => layer)).toHaveLength(network.layers.length);
    expect(new Set(placed.map(({ x, y }) => `${x} ${y}`)).size).toBe(placed.length);
    const byName = new Map(placed.map((each) => [each.layer.name, each]));
    for (const { layer, column, y } of placed) {
      for (const source of layer.inbound.map((name) => byName.get(name)!)) {
        expect(source.column < column || source.y < y, `${source.layer.name} above ${layer.name}`).toBe(true);
      }
    }
  });
});
