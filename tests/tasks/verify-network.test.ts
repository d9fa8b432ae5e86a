import { describe, expect, it } from "vitest";
import { inputShapeOf, type Network } from "../../src/graph/network.ts";
import type { XceptionOptions } from "../../src/models/xception/options.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { type Golden, parseGolden } from "../../src/tasks/verify/golden.ts";
import { goldenNetworks } from "../../src/tasks/verify/network.ts";

/** A golden file with the shapes of some layers' outputs. */
function goldenOf(network: Network, layers: readonly string[], fields: object = {}): Golden {
  const taps = layers.map((name) => {
    const shape = [1, ...network.layers.find((layer) => layer.name === name)!.outputShape];
    return [name, { shape, std: 1, at: [0], values: [0] }];
  });
  return parseGolden(JSON.stringify({ taps: Object.fromEntries(taps), ...fields }), "g.json");
}

/** Input shapes and the output of the networks that a file may be about. */
function readAs(golden: Golden, file: string, given?: XceptionOptions) {
  return goldenNetworks(golden, file, given).map((network) => {
    const output = network.layers.at(-1)!;
    return `${inputShapeOf(network).join("×")} → ${output.name} ${output.outputShape.join("×")}`;
  });
}

const network = xception({ inputShape: [96, 133, 3], classes: 10 });
const tapped = goldenOf(network, ["block2_pool"]);
const probabilities = [[0.1, 0.2, 0.7]];

describe("size and classes", () => {
  it.each([
    ["runs/xception-paper-96x133-7.json", [96, 133, 3], "96×133×3 → predictions 7"],
    ["C:\\golden\\xception-paper-299.json", [299, 299, 3], "299×299×3 → predictions 1000"],
    ["runs-2/xception-96×133×4.json", [96, 133, 4], "96×133×4 → predictions 1000"],
  ] as const)("are those of the name %s", (file, inputShape, expected) => {
    const golden = goldenOf(xception({ inputShape }), ["block2_pool"], { top5: [[[2, 0.5]]] });
    expect(readAs(golden, file)).toEqual([expected]);
  });

  it("are those of the fields rather than of the name", () => {
    const golden = goldenOf(network, ["block2_pool"], { input_shape: [96, 133, 3], classes: 5, include_top: true });
    expect(readAs(golden, "x-150x150-7.json")).toEqual(["96×133×3 → predictions 5"]);
  });

  it("are those of the options rather than of the fields", () => {
    const golden = goldenOf(network, ["block2_pool"], { input_shape: [150, 150, 3], classes: 5, include_top: true });
    const given = { inputShape: [96, 133, 3], classes: 9 } as const;
    expect(readAs(golden, "x.json", given)).toEqual(["96×133×3 → predictions 9"]);
  });

  it("are taken from rows of probabilities and from the last weight", () => {
    const file = "x-96x133.json";
    const weights = [
      [0, "block1_conv1/kernel", [3, 3, 3, 32]],
      [235, "predictions/bias", [42], true],
    ];
    expect(readAs(goldenOf(network, ["block2_pool"], { probabilities }), file)).toEqual(["96×133×3 → predictions 3"]);
    const first20 = { probabilities_first_20: probabilities, weights };
    expect(readAs(goldenOf(network, ["block2_pool"], first20), file)).toEqual(["96×133×3 → predictions 42"]);
  });

  it("are looked for in the taps when the name has none, or one that does not fit", () => {
    const sizes = ["95", "96", "97", "98"].flatMap((height) => ["131", "132", "133", "134"].map((w) => [height, w]));
    const expected = sizes.map(([height, width]) => `${height}×${width}×3 → block14_sepconv2_act 3×4×2048`);
    expect(readAs(tapped, "golden.json")).toEqual(expected);
    expect(readAs(tapped, "x-299.json")).toEqual(expected);
  });
});

describe("the top", () => {
  it("is there when a layer of it is tapped", () => {
    const given = { inputShape: [96, 133, 3] } as const;
    expect(readAs(goldenOf(network, ["avg_pool"]), "x.json", given)).toEqual(["96×133×3 → predictions 1000"]);
    expect(readAs(tapped, "x.json", given)).toEqual(["96×133×3 → block14_sepconv2_act 3×4×2048"]);
  });

  it("is left out when the file or the options say so", () => {
    const given = { inputShape: [96, 133, 3], includeTop: false } as const;
    const golden = goldenOf(network, ["block2_pool"], { include_top: false, pooling: "max" });
    expect(readAs(golden, "x-96x133.json")).toEqual(["96×133×3 → global_max_pooling2d 2048"]);
    const withTop = goldenOf(network, ["block2_pool"], { probabilities, pooling: null });
    expect(readAs(withTop, "x.json", given)).toEqual(["96×133×3 → block14_sepconv2_act 3×4×2048"]);
  });

  it.each([
    ["avg", "global_average_pooling2d"],
    ["max", "global_max_pooling2d"],
  ] as const)("is %s pooling when that is tapped", (pooling, layer) => {
    const pooled = xception({ inputShape: [96, 133, 3], includeTop: false, pooling });
    expect(readAs(goldenOf(pooled, [layer]), "x-96x133.json")).toEqual([`96×133×3 → ${layer} 2048`]);
  });
});

describe("a file is refused", () => {
  it.each([
    [
      "that leaves the size open",
      () => goldenNetworks(goldenOf(network, ["block13_pool"]), "x.json"),
      'UsageError: golden file "x.json": neither its fields nor its name say how large the images are, and its taps ' +
        'leave too much open; received "taps of 71…102×103…134 images". Give the input shape.',
    ],
    [
      "with shapes of no image",
      () => goldenNetworks({ taps: { block2_pool: { ...tapped.taps.block2_pool!, shape: [1, 5, 5, 128] } } }, "x.json"),
      'FormatError: golden file "x.json": no size of images gives the shapes of its taps; expected taps of images ' +
        "from 71×71 on. Is it of another variant?",
    ],
    [
      "with a layer that is not there",
      () => goldenNetworks(tapped, "x-96x133.json", { variant: "tutorial" }),
      'FormatError: golden file "x-96x133.json", tap "block2_pool": network "xception_tutorial" has no layer of this ' +
        "name. Is it of another variant, or without its top?",
    ],
    [
      "with another shape than the options give",
      () => goldenNetworks(tapped, "x.json", { inputShape: [150, 150, 3] }),
      'FormatError: golden file "x.json", tap "block2_pool": the layer\'s output has another shape; received ' +
        "[23, 32, 128]; expected [36, 36, 128]. Is it of another input shape?",
    ],
  ])("%s", (_, read, message) => {
    expect(() => {
      try {
        read();
      } catch (error) {
        throw new Error(`${(error as Error).name}: ${(error as Error).message}`);
      }
    }).toThrow(new Error(message));
  });
});
