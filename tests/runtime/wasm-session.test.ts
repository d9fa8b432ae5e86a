import { once } from "node:events";
import type { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { compileGraph } from "../../src/compiler/compile.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import type { OpConfig } from "../../src/graph/ops.ts";
import { decodeProgram, encodeProgram, isProgram } from "../../src/graph/program.ts";
import { storedTypes } from "../../src/graph/weights.ts";
import { createSession, probeModel } from "../../src/runtime/node/engine.ts";
import { startThread } from "../../src/runtime/node/wasm-threads.ts";
import type { RunnerOrder } from "../../src/runtime/wasm/runner.ts";
import { createProgramSession } from "../../src/runtime/wasm/session.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

/** A program of one operator on `images [N, 2]`. */
function programOf(config: OpConfig): Uint8Array {
  const build = new OpGraphBuilder();
  build.output("y", build.op(config, [build.input("images", [1, 2])], "y"));
  return compileGraph(build.finish(), new Map(), { form: "program", name: "small" });
}

const relu = programOf({ kind: "relu" });

describe("a program", () => {
  it("is not taken for an ONNX model", () => {
    expect([relu, probeModel].map(isProgram)).toEqual([true, false]);
  });

  it("survives writing and reading", () => {
    const { program, data } = decodeProgram(relu);
    expect(encodeProgram(program, data)).toEqual(relu);
  });

  it("with an operator that has no kernel is refused when it is compiled", () => {
    expect(() => programOf({ kind: "softplus" })).toThrow(
      'operator softplus "y": the WebAssembly engine has no kernel for it; received "inputs [1, 2]". Use another device, such as cpu.',
    );
  });

  it("has all weights", () => {
    const build = new OpGraphBuilder();
    const product = { kind: "matMul", transposeA: false, transposeB: false } as const;
    build.output("y", build.op(product, [build.input("images", [1, 2]), build.parameter("w", [2, 3])]));
    expect(() => compileGraph(build.finish(), new Map(), { form: "program", name: "small" })).toThrow(
      'program "small": it has one input, and all its weights; received "images, w".',
    );
  });

  it("alone stores int8", () => {
    const build = new OpGraphBuilder();
    build.output("y", build.input("images", [1, 2]));
    expect(() => compileGraph(build.finish(), new Map(), { form: "inference", storedAs: "int8" })).toThrow(
      'form "inference": its kernels cannot be stored as int8; expected float32 or float16.',
    );
  });

  it.each(storedTypes)("runs at any place of a buffer, its weights as %s", async (storedAs) => {
    const build = new OpGraphBuilder();
    const product = { kind: "matMul", transposeA: false, transposeB: false } as const;
    build.output("y", build.op(product, [build.input("images", [1, 2]), build.parameter("w", [2, 3])], "y"));
    const weights = new Map([["w", floatTensor([2, 3], Float32Array.of(1, 2, 4, 1, -2, 4))]]);
    const bytes = compileGraph(build.finish(), weights, { form: "program", name: "small", storedAs });
    for (const place of [0, 1, 2, 4]) {
      const moved = new Uint8Array(place + bytes.length);
      moved.set(bytes, place);
      const session = await createProgramSession(moved.subarray(place));
      const { y } = await session.run({ images: floatTensor([1, 2], Float32Array.of(3, 5)) });
      for (const [index, value] of [8, -4, 32].entries()) expect(y!.data[index]).toBeCloseTo(value, 5);
      await session.dispose();
    }
  });

  it("that is damaged, truncated or of another version is refused", () => {
    const { program, data } = decodeProgram(relu);
    const other = relu.slice();
    other[16] = 9;
    expect(() => decodeProgram(other)).toThrow(
      "program of the WebAssembly engine: it is of another version; received 9; expected 1. Compile the network again.",
    );
    expect(() => decodeProgram(relu.subarray(0, 20))).toThrow("it is of another version");
    expect(() => decodeProgram(relu.subarray(0, 60))).toThrow(/its description is damaged \(.+\)/);
    const weights = [{ address: 64, count: 8, type: "float32", start: 0 }] as const;
    expect(() => decodeProgram(encodeProgram({ ...program, weights }, data))).toThrow(
      `program of the WebAssembly engine: its weights are incomplete; received "0 bytes"; expected 32.`,
    );
  });

  it("with an unknown kernel, or for more memory than there is, is refused", async () => {
    const { program, data } = decodeProgram(relu);
    const steps = [{ ...program.steps[0]!, kernel: "relu7" }];
    await expect(createProgramSession(encodeProgram({ ...program, steps }, data))).rejects.toThrow(
      'program of the WebAssembly engine, step "y": this engine has no such kernel; received "relu7".',
    );
    const memoryBytes = 2 ** 33;
    await expect(createProgramSession(encodeProgram({ ...program, memoryBytes }, data))).rejects.toThrow(
      "WebAssembly engine: there is no memory of 8192 MiB: ",
    );
  });
});

describe("a session", () => {
  it("is what a program gives in Node's engine, whose device it needs no name of", async () => {
    const session = await createSession(relu, { threads: 1, profile: true });
    const { y } = await session.run({ images: floatTensor([3, 2], Float32Array.of(-1, 2, 3, -4, 5, -6)) });
    expect(y).toEqual(floatTensor([3, 2], Float32Array.of(0, 2, 3, 0, 5, 0)));
    expect(session.outputShapes).toEqual(new Map([["y", ["N", 2]]]));
    const events = await session.endProfiling();
    expect(events.map(({ operator, node }) => [operator, node])).toEqual(new Array(3).fill(["relu", "y"]));
    await session.dispose();
  });

  it("refuses tensors that do not fit", async () => {
    const session = await createProgramSession(relu);
    await expect(session.run({})).rejects.toThrow(
      'input "images": the tensor does not fit the network; received "nothing"; expected float32 [N, 2].',
    );
    await expect(session.run({ images: floatTensor([1, 3]) })).rejects.toThrow('received "float32 1×3"');
    await session.dispose();
  });

  it("lets its threads end by themselves", async () => {
    const exits: Promise<unknown>[] = [];
    const start = async (order: RunnerOrder) => {
      const thread = await startThread(order);
      exits.push(once(thread as Worker, "exit"));
      return thread;
    };
    const session = await createProgramSession(relu, { threads: 3, startThread: start });
    const { y } = await session.run({ images: floatTensor([1, 2], Float32Array.of(-1, 2)) });
    expect(y).toEqual(floatTensor([1, 2], Float32Array.of(0, 2)));
    await session.dispose();
    // Terminated, they would exit with 1.
    expect(await Promise.all(exits)).toEqual([[0], [0]]);
  });

  it("says why a thread does not start", async () => {
    let ended = 0;
    const startThread = ({ thread }: { readonly thread: number }) =>
      thread === 1 ? Promise.resolve({ terminate: () => ended++ }) : Promise.reject(new Error("no more threads"));
    await expect(createProgramSession(relu, { threads: 3, startThread })).rejects.toThrow(
      "WebAssembly engine: a thread cannot be started: no more threads.",
    );
    expect(ended).toBe(1);
  });
});
