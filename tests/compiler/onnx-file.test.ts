import { describe, expect, it } from "vitest";
import { RuntimeUnavailableError } from "../../src/base/errors.ts";
import type { Platform } from "../../src/base/platform.ts";
import { compile } from "../../src/compiler/compile.ts";
import { blockProbe, readBlockSize } from "../../src/compiler/onnx/blocked.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { createSession } from "../../src/runtime/node/engine.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { channelBlock } from "../../src/train/step/step-program.ts";
import { smallModel } from "../model/small-model.ts";
import { ModelProto } from "../oracles/onnx-proto.ts";

function doubling() {
  const build = new OpGraphBuilder();
  const x = build.input("x", [1, 2]);
  const factor = build.parameter("factor", [2]);
  build.output("y", build.op({ kind: "multiply" }, [x, factor]));
  return build.finish();
}

describe("toOnnx", () => {
  it("stores known weights and makes inputs of the others", async () => {
    const factor = floatTensor([2], Float32Array.of(2, -1));
    const stored = await createSession(toOnnx(doubling(), { weights: new Map([["factor", factor]]) }));
    const x = floatTensor([1, 2], Float32Array.of(3, 4));
    expect([...((await stored.run({ x })).y!.data as Float32Array)]).toEqual([6, -4]);
    await stored.dispose();
    const fed = await createSession(toOnnx(doubling()));
    expect([...((await fed.run({ x, factor })).y!.data as Float32Array)]).toEqual([6, -4]);
    await fed.dispose();
  });

  it("leaves the batch open on request", async () => {
    const weights = new Map([["factor", floatTensor([2], Float32Array.of(2, -1))]]);
    const session = await createSession(toOnnx(doubling(), { weights, dynamicBatch: true }));
    const { y } = await session.run({ x: floatTensor([3, 2], Float32Array.of(1, 2, 3, 4, 5, 6)) });
    await session.dispose();
    expect(y).toEqual(floatTensor([3, 2], Float32Array.of(2, -2, 6, -4, 10, -6)));
  });

  it("computes with half precision on request, between inputs and outputs in single precision", async () => {
    // 1/3 is 0.333251953125 in binary16, and the largest number there 65504.
    const factor = floatTensor([2], Float32Array.of(1 / 3, 70_000));
    const bytes = toOnnx(doubling(), { weights: new Map([["factor", factor]]), precision: "float16" });
    const session = await createSession(bytes);
    const { y } = await session.run({ x: floatTensor([1, 2], Float32Array.of(1, 1)) });
    await session.dispose();
    expect(y).toEqual(floatTensor([1, 2], Float32Array.of(0.333251953125, Number.POSITIVE_INFINITY)));
    const { graph } = ModelProto.toObject(ModelProto.decode(bytes)) as { graph: { node: { op_type: string }[] } };
    expect(graph.node.map(({ op_type }) => op_type)).toEqual(["Cast", "Mul", "Cast"]);
  });

  it("computes a network with half precision to about three digits", async () => {
    const { network, weights, preprocessing } = smallModel();
    const images = {
      type: "uint8",
      shape: [1, 71, 80, 3],
      data: new Uint8Array(71 * 80 * 3).map((_, at) => at % 253),
    } as const;
    const [single, half] = await Promise.all(
      (["float32", "float16"] as const).map(async (precision) => {
        const session = await createSession(compile(network, weights, { form: "inference", precision, preprocessing }));
        const { [network.output]: output } = await session.run({ images });
        await session.dispose();
        return output!.data as Float32Array;
      }),
    );
    const difference = Math.max(...single!.map((value, index) => Math.abs(value - half![index]!)));
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(0.01);
  });

  it("says what it is: producer, operator sets, metadata", () => {
    const bytes = toOnnx(doubling(), { name: "doubling", metadata: { license: "Apache-2.0" } });
    expect(ModelProto.toObject(ModelProto.decode(bytes), { longs: Number })).toMatchObject({
      producer_name: "xception-ts",
      opset_import: [{ version: 18 }],
      metadata_props: [{ key: "license", value: "Apache-2.0" }],
      graph: { name: "doubling", input: [{ name: "x" }, { name: "factor" }], output: [{ name: "y" }] },
    });
  });

  it("refuses a weight of another shape", () => {
    const weights = new Map([["factor", floatTensor([3])]]);
    expect(() => toOnnx(doubling(), { weights })).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: parameter "factor": the stored weight has another shape; received [3]; expected 2.]`,
    );
  });

  it("is refused by the engine with the engine's words", async () => {
    const error = await createSession(Uint8Array.of(1, 2, 3)).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(RuntimeUnavailableError);
    expect((error as Error).message).toMatch(/^ONNX Runtime: it cannot load the model: .+/);
  });
});

describe("the engine's channel block", () => {
  it("is read off the order of the probe's pixels", () => {
    const { input } = blockProbe();
    // With blocks of 8: first pixels of channels 0 … 7, then their second pixels.
    const ordered = Float32Array.from({ length: 128 }, (_, index) => {
      const [block, pixel, channel] = [Math.floor(index / 16), Math.floor(index / 8) % 2, index % 8];
      return input[(block * 8 + channel) * 2 + pixel]!;
    });
    expect(readBlockSize(ordered)).toBe(8);
  });

  it("is 8 or 16 where there is one", async () => {
    expect([undefined, 8, 16]).toContain(await channelBlock(nodePlatform));
  });

  it("is undefined where the engine refuses the layout, and other errors come through", async () => {
    const failing = (error: Error): Platform => ({
      ...nodePlatform,
      engine: { ...nodePlatform.engine, createSession: () => Promise.reject(error) },
    });
    const refusal = new RuntimeUnavailableError({ where: "ONNX Runtime", what: "it cannot load the model" });
    expect(await channelBlock(failing(refusal))).toBeUndefined();
    await expect(channelBlock(failing(new Error("out of memory")))).rejects.toThrow("out of memory");
  });
});
