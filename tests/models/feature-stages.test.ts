import { describe, expect, it } from "vitest";
import {
  activation,
  conv2d,
  dense,
  globalAveragePooling2d,
  input,
  type LayerOutput,
  leakyRelu,
  maxPooling2d,
  relu,
} from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { alignedXception } from "../../src/models/aligned/network.ts";
import { featureStages, lastMapOf } from "../../src/models/feature-stages.ts";
import { xception } from "../../src/models/xception/paper.ts";

const listed = (of: Parameters<typeof featureStages>[0]) =>
  featureStages(of).map(({ stage, stride, layer, shape }) => `${stage} /${stride} ${layer} ${shape.join("×")}`);

describe("the last map of each stride", () => {
  // feature_info in timm's xception.py: act2, block2.rep.0, block3.rep.0, block12.rep.0, act4; Keras counts one block more.
  it("is timm's in Xception, whether or not it has a top", () => {
    const expected = [
      "1 /2 block1_conv2_act 147×147×64",
      "2 /4 block3_sepconv1_act 74×74×128",
      "3 /8 block4_sepconv1_act 37×37×256",
      "4 /16 block13_sepconv1_act 19×19×728",
      "5 /32 block14_sepconv2_act 10×10×2048",
    ];
    expect(listed(xception())).toEqual(expected);
    expect(listed(xception({ includeTop: false }))).toEqual(expected);
    expect(lastMapOf(xception())).toBe("block14_sepconv2_act");
  });

  // feature_info in timm's xception_aligned.py: stack.act3 (stack.conv2 where activation comes first) of blocks that stride.
  it("is timm's in the aligned Xceptions", () => {
    expect(listed(alignedXception({ variant: "71" }))).toEqual([
      "1 /2 block1_sepconv3_act 150×150×128",
      "2 /4 block3_sepconv3_act 75×75×256",
      "3 /8 block5_sepconv3_act 38×38×728",
      "4 /16 block22_sepconv3_act 19×19×1024",
      "5 /32 block23_sepconv3_pointwise_act 10×10×2048",
    ]);
    expect(listed(alignedXception({ variant: "41p" }))).toEqual([
      "1 /2 block1_sepconv2 150×150×128",
      "2 /4 block2_sepconv2 75×75×256",
      "3 /8 block3_sepconv2 38×38×728",
      "4 /16 block12_sepconv2 19×19×1024",
      "5 /32 last_act 10×10×2048",
    ]);
  });

  it("is a sum where the shortcut is a chain of its own", () => {
    const stages = featureStages(xception({ variant: "tutorial" }));
    expect(stages.map(({ layer }) => layer)).toEqual([
      "re_lu_1",
      "re_lu_3",
      "re_lu_5",
      "re_lu_39",
      "batch_normalization_39",
    ]);
  });

  it("is what stands before the next stride in a plain network, and only at strides that are powers of two", () => {
    let x = conv2d(input([48, 48, 3]), { filters: 4, kernelSize: 3, strides: 2, padding: "same", name: "halves" });
    x = activation(x, "relu", { name: "act" });
    x = conv2d(x, { filters: 5, kernelSize: 1, name: "pointwise" });
    x = maxPooling2d(x, { kernelSize: 3, strides: 3, name: "thirds" });
    x = maxPooling2d(x, { kernelSize: 4, strides: 4, name: "quarters" });
    x = dense(globalAveragePooling2d(x), { units: 2 });
    const plain = network("plain", x);
    expect(listed(plain)).toEqual(["1 /2 pointwise 24×24×5"]);
    expect(lastMapOf(plain)).toBe("quarters");
  });

  it("is the activation, whichever it is", () => {
    const activations = [relu, leakyRelu, (x: LayerOutput) => activation(x, "elu")];
    const last = activations.map((act) => {
      const x = act(conv2d(input([48, 48, 3]), { filters: 4, kernelSize: 3 }));
      return lastMapOf(network("n", dense(globalAveragePooling2d(x), { units: 2 })));
    });
    expect(last).toEqual(["re_lu", "leaky_re_lu", "activation"]);
  });
});
