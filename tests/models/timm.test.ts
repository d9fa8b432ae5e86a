import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { countParameters, networkWeights } from "../../src/graph/network.ts";
import { fromTorchLayout, torchShape, toTorchLayout } from "../../src/graph/torch-layout.ts";
import { architectureNamed, buildNetwork } from "../../src/models/registry.ts";
import { timmNames } from "../../src/models/timm-names.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { parseTimmGolden } from "../../src/tasks/verify/golden.ts";
import { verifyTimm } from "../../src/tasks/verify/verify.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const file = "timm-forward.json";
const text = readFileSync(new URL(`../golden/${file}`, import.meta.url), "utf8");
const golden = parseTimmGolden(text, file);
const facts = JSON.parse(text) as Record<string, { params: number; keys: unknown }>;

const names = ["legacy_xception", "xception41", "xception65", "xception71", "xception41p", "xception65p"] as const;
const options = { inputShape: [101, 86, 3], classes: 11 } as const;

describe.each(names)("%s", (name) => {
  const architecture = architectureNamed(name, options);

  test("has timm's parameters, under timm's names in timm's order", () => {
    const { params, keys } = facts[name]!;
    const weights = networkWeights(buildNetwork(architecture));
    expect(countParameters(weights).trainable).toBe(params);
    const entries = timmNames(architecture);
    const stored = entries.flatMap(({ name, weight }, index) => (weight ? [[index, name, torchShape(weight)]] : []));
    if (typeof keys === "number") expect(stored).toHaveLength(keys);
    else expect(stored).toEqual(keys);
    // Every weight once; all others are counters.
    const specs = entries.flatMap(({ weight }) => weight ?? []);
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    expect(specs.toSorted(byName)).toEqual(weights.toSorted(byName));
    const counters = entries.filter(({ weight }) => weight === undefined);
    expect(counters.every((entry) => entry.name.endsWith(".num_batches_tracked"))).toBe(true);
  });

  test("gives timm's logits", async () => {
    const { taps, passed } = await verifyTimm(golden, file, name, { platform: nodePlatform });
    expect(taps).toHaveLength(1);
    expect(taps[0]!.samples).toBe(22);
    // Measured: 1.2e-6 to 3.1e-6 of the standard deviation.
    expect(taps[0]!.difference).toBeLessThan(1e-5);
    expect(passed).toBe(true);
  });
});

test("an ordinary Xception is not timm's legacy_xception", async () => {
  const network = { batchNormEpsilon: 1e-3, poolPadding: "same" } as const;
  for (const option of ["batchNormEpsilon", "poolPadding"] as const) {
    const given = { [option]: network[option] };
    const { taps } = await verifyTimm(golden, file, "legacy_xception", { platform: nodePlatform, network: given });
    // Measured: 0.012 with Keras's epsilon, 0.14 with its padding.
    expect(taps[0]!.difference).toBeGreaterThan(1e-2);
  }
});

describe("a golden file that does not fit", () => {
  const verifying = (content: object) =>
    verifyTimm(parseTimmGolden(JSON.stringify(content), "g.json"), "g.json", "xception41", { platform: nodePlatform });

  test("has other networks, or rows of different lengths", async () => {
    await expect(verifying({ xception65: { logits: [[1]] } })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[UsageError: golden file "g.json": the file does not have this network; received "xception41"; expected xception65.]`,
    );
    await expect(verifying({ xception41: { logits: [[1], [1, 2]] } })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[FormatError: golden file "g.json", field xception41.logits: its rows are of different lengths.]`,
    );
    expect(() => parseTimmGolden('{"xception41":{}}', "g.json")).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: golden file "g.json", field xception41.logits: it is missing; expected a list of 1 to 256 values.]`,
    );
  });
});

describe("what timm has not is refused", () => {
  test.each([
    ["the tutorial's variant", { variant: "tutorial" }],
    ["no shortcuts", { residual: false }],
    ["fully connected layers", { fcUnits: [7] }],
  ] as const)("%s", (name, more) => {
    const architecture = architectureNamed("xception", { ...options, ...more });
    expect(() => timmNames(architecture)).toThrowErrorMatchingSnapshot(name);
  });

  test("options that aligned networks have not", () => {
    expect(() => architectureNamed("xception71", { poolPadding: "symmetric" })).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: alignedXception option "poolPadding": this does not go with architecture xception71; received "symmetric"; expected architecture xception or legacy_xception.]`,
    );
  });
});

test("PyTorch's layout of a dense kernel is [out, in], that of a convolution [out, in, kh, kw]", () => {
  const weights = networkWeights(buildNetwork(architectureNamed("xception41p", { ...options, width: 0.1 })));
  const dense = weights.find(({ role }) => role === "denseKernel")!;
  const spec = { ...dense, shape: [2, 3] };
  const torch = toTorchLayout(spec, floatTensor([2, 3], Float32Array.of(1, 2, 3, 4, 5, 6)));
  expect(torch).toEqual(floatTensor([3, 2], Float32Array.of(1, 4, 2, 5, 3, 6)));
  expect(fromTorchLayout(spec, torch).data).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
  const kernel = { ...dense, role: "kernel", shape: [1, 1, 2, 3] } as const;
  expect(torchShape(kernel)).toEqual([3, 2, 1, 1]);
});
