import { mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, test, vi } from "vitest";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { createSession, probeModel, unavailable } from "../../src/runtime/node/engine.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { createWebSession } from "../../src/runtime/web/session.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

describe("devices", () => {
  it("are listed with what is missing; the CPU is always there, natively and in WebAssembly", async () => {
    const statuses = await nodePlatform.engine.listDevices();
    const everywhere = (["cpu", "wasm"] as const).map((device) => ({ device, available: true }));
    expect(statuses).toEqual(expect.arrayContaining(everywhere));
    for (const { available, reason } of statuses) expect(available).toBe(reason === undefined);
  });

  it("are probed with the model that the compiler makes", () => {
    const build = new OpGraphBuilder();
    build.output("y", build.op({ kind: "relu" }, [build.input("x", [1])], "y"));
    expect(probeModel).toEqual(new Uint8Array(toOnnx(build.finish())));
  });

  it("that are not there are refused, with what is and how to get them", async () => {
    // No system has both.
    const missing = process.platform === "darwin" ? "dml" : "coreml";
    const message =
      `device "${missing}": ONNX Runtime cannot compute on it here (no available backend found. ` +
      `ERR: [${missing}] backend not found); expected cpu or wasm, which run everywhere, or another device that ` +
      "`xception doctor` finds.";
    await expect(createSession(probeModel, { device: missing })).rejects.toThrow(message);
    // The device is also that of the process which runs a graph of another tool.
    const isolation = { where: "a graph", memoryBytes: 2 ** 30, timeMs: 60_000 };
    await expect(createSession(probeModel, { device: missing, isolation })).rejects.toThrow(message);
  });

  it.each([
    ["webgpu", "It needs a GPU with a driver of Vulkan, Direct3D 12 or Metal"],
    ["cuda", "It needs an NVIDIA GPU with CUDA 12 and cuDNN 9, and onnxruntime-node's CUDA libraries"],
    ["tensorrt", "It needs an NVIDIA GPU with CUDA 12 and TensorRT"],
    ["dml", "It needs Windows with DirectX 12."],
    ["coreml", "It needs macOS."],
  ] as const)("say how to get %s", (device, remedy) => {
    expect(unavailable(device, "a reason")).toMatchObject({ code: "RUNTIME_UNAVAILABLE" });
    expect(unavailable(device, "a reason").message).toContain(
      `(a reason); expected cpu or wasm, which run everywhere, or another device that \`xception doctor\` finds. ${remedy}`,
    );
  });
});

test.each(["read", "never read"])("the profile of a session leaves no file when it is %s", async (kind) => {
  const folder = await mkdtemp(join(tmpdir(), "xception-profiled-"));
  vi.stubEnv("TMPDIR", folder);
  vi.stubEnv("TEMP", folder);
  const session = await createSession(probeModel, { profile: true });
  await session.run({ x: floatTensor([1], Float32Array.of(5)) });
  expect(await readdir(folder)).toEqual([expect.stringMatching(/^xception-profile-/)]);
  if (kind === "read") expect((await session.endProfiling()).map(({ operator }) => operator)).toEqual(["Relu"]);
  await session.dispose();
  await session.dispose();
  vi.unstubAllEnvs();
  expect(await readdir(folder)).toEqual([]);
});

describe("the engine in WebAssembly", () => {
  it("runs in Node, several runs at a time one after the other", async () => {
    const session = await createSession(probeModel, { device: "wasm" });
    const answers = [-1, 2, 3].map((value) => session.run({ x: floatTensor([1], Float32Array.of(value)) }));
    expect((await Promise.all(answers)).map(({ y }) => [...(y!.data as Float32Array)])).toEqual([[0], [2], [3]]);
    expect(await session.endProfiling()).toEqual([]);
    await session.dispose();
  });

  it("goes on after a run that failed", async () => {
    const session = await createWebSession(probeModel);
    await expect(session.run({})).rejects.toThrow("input 'x' is missing in 'feeds'.");
    const { y } = await session.run({ x: floatTensor([1], Float32Array.of(5)) });
    expect(y).toEqual(floatTensor([1], Float32Array.of(5)));
    await session.dispose();
  });

  it("refuses what is no model, and other devices", async () => {
    await expect(createWebSession(Uint8Array.of(1, 2, 3))).rejects.toThrow(
      /^ONNX Runtime in WebAssembly: it cannot load the model: /,
    );
    await expect(createWebSession(probeModel, { device: "cuda" })).rejects.toThrow(
      `device "cuda": ONNX Runtime's WebAssembly build does not compute on it; expected wasm.`,
    );
  });
});
