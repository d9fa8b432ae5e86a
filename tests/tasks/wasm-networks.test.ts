import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile } from "../../src/compiler/compile.ts";
import { imageInput } from "../../src/compiler/lower.ts";
import { inputShapeOf, type Network } from "../../src/graph/network.ts";
import { type Preprocessing, standardization } from "../../src/graph/preprocessing.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import { architectureNamed, buildNetwork } from "../../src/models/registry.ts";
import { createSession } from "../../src/runtime/node/engine.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { parseGolden, parseTimmGolden } from "../../src/tasks/verify/golden.ts";
import { verifyGolden, verifyTimm } from "../../src/tasks/verify/verify.ts";
import type { FloatTensor, Tensor } from "../../src/tensor/tensor.ts";

/** Node, computing in our WebAssembly engine with one thread. */
const platform = {
  ...nodePlatform,
  engine: {
    ...nodePlatform.engine,
    defaultDevice: "wasm",
    createSession: (model: Uint8Array) => createSession(model, { device: "wasm", threads: 1 }),
  },
} as const;

const read = (file: string) => readFileSync(new URL(`../golden/${file}`, import.meta.url), "utf8");

describe("the WebAssembly engine gives", () => {
  it("Keras's values of Xception", async () => {
    const file = "xception-paper-71x71-10.json";
    const { taps, probabilities, passed } = await verifyGolden(parseGolden(read(file), file), file, { platform });
    for (const { difference } of taps) expect(difference).toBeLessThan(1e-5);
    expect(probabilities!.difference).toBeLessThan(1e-5);
    expect(passed).toBe(true);
  });

  it.each(["legacy_xception", "xception41", "xception65", "xception71", "xception41p", "xception65p"] as const)(
    "timm's logits of %s",
    async (name) => {
      const golden = parseTimmGolden(read("timm-forward.json"), "timm-forward.json");
      const { taps } = await verifyTimm(golden, "timm-forward.json", name, { platform });
      expect(taps[0]!.difference).toBeLessThan(1e-5);
    },
  );
});

/** Largest difference between our engine and ONNX Runtime's CPU. */
async function differenceFromCpu(network: Network, images: Tensor, preprocessing?: Preprocessing): Promise<number> {
  const weights = syntheticWeights(network);
  const outputs: Float32Array[] = [];
  for (const form of ["program", "exact"] as const) {
    const session = await createSession(compile(network, weights, { form, preprocessing }), { threads: 1 });
    outputs.push(((await session.run({ [imageInput]: images }))[network.output] as FloatTensor).data);
    await session.dispose();
  }
  const [ours, cpu] = outputs as [Float32Array, Float32Array];
  expect(ours.length).toBe(cpu.length);
  return ours.reduce((largest, value, index) => Math.max(largest, Math.abs(value - cpu[index]!)), 0);
}

describe("the WebAssembly engine computes what the CPU computes", () => {
  it("in Inception V3 and the tutorial's Xception", async () => {
    const small = { inputShape: [75, 75, 3], classes: 5, classifierActivation: "none" } as const;
    for (const [name, options] of [
      ["inception-v3", small],
      ["xception", { ...small, variant: "tutorial" }],
    ] as const) {
      const network = buildNetwork(architectureNamed(name, options));
      const images = syntheticImages(2, inputShapeOf(network) as [number, number, number]);
      // Logits, of which both engines round sums of thousands of numbers.
      expect(await differenceFromCpu(network, images), name).toBeLessThan(1e-4);
    }
  });

  it.each([
    ["one scale", 3, { scale: 1 / 127.5, offset: -1 }],
    ["a scale for each channel", 3, standardization([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])],
    ["blue, green, red", 3, { scale: 1, offset: [-103.939, -116.779, -123.68], order: "bgr" }],
    ["luma", 1, { scale: 1 / 127.5, offset: -1 }],
  ] as const)("from bytes: %s", async (_, channels, preprocessing) => {
    const options = { inputShape: [71, 73, channels], width: 0.125, classes: 5 } as const;
    const network = buildNetwork(architectureNamed("xception", options));
    const data = Uint8Array.from({ length: 71 * 73 * 3 }, (_, index) => (index * 89) % 256);
    const images = { type: "uint8", shape: [1, 71, 73, 3], data } as const;
    expect(await differenceFromCpu(network, images, preprocessing)).toBeLessThan(1e-5);
  });
});
