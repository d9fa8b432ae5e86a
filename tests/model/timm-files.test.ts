import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { WeightsError } from "../../src/base/errors.ts";
import { writeSafetensors } from "../../src/formats/safetensors.ts";
import { torchShape, toTorchLayout } from "../../src/graph/torch-layout.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { openWeightsFile } from "../../src/model/formats.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { loadWeights, openModel } from "../../src/model/open-weights.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { type ArchitectureName, architectureNamed, buildNetwork } from "../../src/models/registry.ts";
import { recognizeTimm, timmNames } from "../../src/models/timm-names.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { convert } from "../../src/tasks/convert.ts";
import { timmSyntheticWeights } from "../../src/tasks/verify/verify.ts";
import { floatTensor, type Tensor } from "../../src/tensor/tensor.ts";

const small = { inputShape: [71, 80, 3], classes: 3, width: 0.05 } as const;
const legacy = architectureNamed("legacy_xception", { ...small, middleFlowRepeats: 1 });
const aligned = architectureNamed("xception41p", small);

/** As timm would store it, with its counters. */
function stateDict(architecture: typeof legacy, weights: Weights = timmSyntheticWeights(architecture)) {
  const entries = timmNames(architecture).map(({ name, weight }): [string, Tensor] => {
    if (weight === undefined) return [name, { type: "int64", shape: [], data: BigInt64Array.of(5004n) }];
    return [name, toTorchLayout(weight, weights.get(weight.name)!)];
  });
  return new Map(entries);
}

describe.each([
  ["legacy_xception", legacy, { middleFlowRepeats: 1 }],
  ["xception41p", aligned, {}],
] as const)("safetensors of %s", (name, architecture, more) => {
  const convertIt = async (entries: ReadonlyMap<string, Tensor>, allowMissing?: string) => {
    const source = await weightsSource(writeSafetensors(entries), nodePlatform);
    return convert(source, { to: "onnx", architecture: name, network: { ...small, ...more }, allowMissing });
  };

  test("become a model with the same weights, epsilon and padding", async () => {
    const { bytes, weights, to } = await convertIt(stateDict(architecture));
    expect(to).toBe("model file");
    expect(weights).toMatchObject({ by: "name", missing: [], unexpected: [], wrongShape: [] });
    const model = decodeModel(bytes);
    expect(model.network).toEqual(buildNetwork(architecture));
    expect(model.weights).toEqual(timmSyntheticWeights(architecture));
  });

  test("may be wrapped, as in parallel training", async () => {
    const wrapped = new Map([...stateDict(architecture)].map(([key, tensor]) => [`module.model.${key}`, tensor]));
    expect(decodeModel((await convertIt(wrapped)).bytes).weights).toEqual(timmSyntheticWeights(architecture));
  });

  test("must fit, name by name", async () => {
    const classifier = name === "legacy_xception" ? "fc" : "head.fc";
    const bn = name === "legacy_xception" ? "bn1" : "stem.0.bn";
    const entries = stateDict(architecture);
    entries.set(`${classifier}.weight`, floatTensor([5, 104]));
    entries.delete(`${bn}.running_mean`);
    entries.set("extra.weight", floatTensor([2]));
    const refused: unknown = await convertIt(entries).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(WeightsError);
    expect((refused as Error).message).toMatchSnapshot();
    const { weights } = await convertIt(entries, "*");
    const conv1 = name === "legacy_xception" ? "block1_conv1_bn" : "stem_conv1_bn";
    expect(weights).toMatchObject({ missing: [`${conv1}/moving_mean`], unexpected: ["extra.weight"] });
    expect(weights.wrongShape).toEqual(["predictions/kernel (104×5 instead of 104×3)"]);
  });
});

test("the first Xception for PyTorch has bare pointwise kernels and another name for the classifier", async () => {
  const entries = [...stateDict(legacy)].map(([key, tensor]): [string, Tensor] => {
    const bare = key.includes("pointwise") ? { ...tensor, shape: tensor.shape.slice(0, 2) } : tensor;
    return [key.replace(/^fc\./, "last_linear."), bare];
  });
  const bytes = writeSafetensors(new Map(entries));
  const { weights } = await loadWeights(buildNetwork(legacy), bytes, nodePlatform);
  expect(weights).toEqual(timmSyntheticWeights(legacy));
});

describe("a state_dict tells which network it is of", () => {
  const names: ArchitectureName[] = [
    "legacy_xception",
    "xception41",
    "xception65",
    "xception71",
    "xception41p",
    "xception65p",
  ];

  test.each(names)("%s", (name) => {
    for (const options of [
      { inputShape: [299, 299, 4], classes: 7 },
      { inputShape: [64, 96, 3], includeTop: false },
    ] as const) {
      if (name === "legacy_xception" && options.inputShape[0] < 71) continue;
      const architecture = architectureNamed(name, options);
      const shapes = timmNames(architecture).flatMap(({ name, weight }) =>
        weight ? [[name, torchShape(weight)] as const] : [],
      );
      const found = recognizeTimm(new Map(shapes), options.inputShape)!;
      expect(found.name).toBe(name);
      expect(buildNetwork(found.architecture)).toEqual(buildNetwork(architecture));
    }
  });

  test("or none that we know", () => {
    const shapes = (architecture: typeof legacy) =>
      new Map(
        timmNames(architecture).flatMap(({ name, weight }) => (weight ? [[name, torchShape(weight)] as const] : [])),
      );
    expect(recognizeTimm(shapes(legacy))).toBeUndefined();
    expect(recognizeTimm(shapes(aligned))).toBeUndefined();
    expect(recognizeTimm(new Map())).toBeUndefined();
  });
});

test("a network that is recognized prepares images as timm does", async () => {
  const whole = architectureNamed("legacy_xception", { classes: 2 });
  const zeros = timmNames(whole).map(({ name, weight }): [string, Tensor] => {
    return [name, floatTensor(weight === undefined ? [] : torchShape(weight))];
  });
  const { metadata } = await openWeightsFile(await weightsSource(writeSafetensors(new Map(zeros)), nodePlatform));
  expect(metadata?.preprocessing).toEqual({
    scale: 1 / 127.5,
    offset: -1,
    interpolation: "bicubic",
    fit: "cover",
    cropRatio: 0.897,
    background: [255, 255, 255],
  });
});

test("another network's state_dict is refused for its names", async () => {
  const bytes = new Uint8Array(readFileSync(new URL("../golden/formats/tensors.pth", import.meta.url)));
  await expect(openModel(bytes, nodePlatform)).rejects.toThrowErrorMatchingInlineSnapshot(
    `[FormatError: file of 4283 bytes: the file holds only weights, without their network; received "PyTorch"; expected a whole model. Name the network: convert has flags for it; in code, use loadWeights.]`,
  );
  const source = await weightsSource(bytes, nodePlatform);
  await expect(
    convert(source, { to: "onnx", architecture: "xception41", network: small }),
  ).rejects.toThrowErrorMatchingInlineSnapshot(
    `[WeightsError: file of 4283 bytes: they are not the weights of this network; missing: stem_conv1/kernel, stem_conv1_bn/gamma, stem_conv1_bn/beta, stem_conv1_bn/moving_mean, stem_conv1_bn/moving_variance and 417 more; unexpected: conv.weight, conv.transposed, slice, expanded, shared.a and 10 more. Check the network's options: variant, width, classes and the rest must be those it was trained with.]`,
  );
});
