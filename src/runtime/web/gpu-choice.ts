import { RuntimeUnavailableError } from "../../base/errors.ts";
import type { EngineReport, RunOptions, Session, SessionOptions, Tensors } from "../../base/platform.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { FloatTensor, Tensor } from "../../tensor/tensor.ts";
import { type Gpu, openGpu } from "./gpu.ts";
import type { ImageInput } from "./onnx-session.ts";

/** A session whose input is known. */
export interface TestableSession extends Session {
  readonly imageInput: ImageInput | undefined;
}

/** Loads a model that was compiled for WebAssembly. */
export type LoadWasm = (model: Uint8Array) => Promise<TestableSession>;

/**
 * Largest difference between a GPU's outputs and those in WebAssembly, relative to the largest of them. Rounding stays far below; a
 * wrong driver, or a network whose activations exceed half precision, is far above.
 */
const tolerances = { float32: 1e-3, float16: 0.05 } as const;

/**
 * Loads a model where it is computed fastest (`fastest`), or on the GPU if it computes correct values there (`webgpu`). If the GPU is
 * lost later, WebAssembly takes its place.
 * @param model compiled for WebAssembly.
 * @throws {RuntimeUnavailableError} the model cannot be compiled for a GPU, as in training.
 */
export async function chooseSession(
  model: Uint8Array,
  { device, compileFor }: SessionOptions,
  loadWasm: LoadWasm,
  onnxruntime: string | undefined,
): Promise<Session> {
  if (compileFor === undefined) {
    throw new RuntimeUnavailableError({
      where: `device "${device}"`,
      what: "it is offered for inference with networks only",
      expected: "wasm",
    });
  }
  const wasm = await loadWasm(model);
  const gpu = await openGpu();
  if (typeof gpu === "string") return withReason(wasm, `WebAssembly: ${gpu}.`);
  const reasons: string[] = [];
  const run = await testRun(wasm);
  for (const precision of gpu.hasHalf ? (["float16", "float32"] as const) : (["float32"] as const)) {
    const found = await onGpu(compileFor({ device: "webgpu", precision }), gpu, onnxruntime).catch(
      (error: Error) => error.message,
    );
    if (typeof found === "string") {
      reasons.push(`Not WebGPU on ${gpu.name}: ${found}`);
      break;
    }
    const { session, name } = found;
    const tested = run && (await testRun(session).catch((error: Error) => error.message));
    const problem = typeof tested === "string" ? tested : problemOf(run, tested, tolerances[precision]);
    const isSlower = device === "fastest" && typeof tested === "object" && tested.ms >= run!.ms;
    if (problem === undefined && !isSlower) {
      const speeds =
        run && typeof tested === "object" ? `: ${text(tested.ms)} a run, ${text(run.ms)} in WebAssembly` : "";
      const report: EngineReport = {
        name: `${name}, WebGPU`,
        device: "webgpu",
        threads: 1,
        reasons: [...reasons, `WebGPU on ${gpu.name} in ${precision}${speeds}.`],
        runMs: typeof tested === "object" ? tested.ms : undefined,
      };
      await wasm.dispose();
      return new GpuSession(session, gpu, report, () => loadWasm(compileFor({ device: "wasm" })));
    }
    await session.dispose();
    if (problem === undefined) {
      reasons.push(
        `WebAssembly: ${text(run!.ms)} a run; WebGPU on ${gpu.name} in ${precision} took ${text((tested as TestRun).ms)}.`,
      );
      break;
    }
    reasons.push(`Not WebGPU on ${gpu.name} in ${precision}: ${problem}`);
  }
  gpu.device.destroy();
  return withReason(wasm, ...reasons);
}

async function onGpu(model: Uint8Array, gpu: Gpu, onnxruntime: string | undefined) {
  const { createGpuSession, gpuEngineVersion } = await import("./gpu-session.ts");
  return {
    session: await createGpuSession(model, gpu, onnxruntime),
    name: `ONNX Runtime ${gpuEngineVersion()}`,
  };
}

function withReason(session: TestableSession, ...reasons: readonly string[]): Session {
  const { report } = session;
  return Object.assign(session, { report: report && { ...report, reasons: [...reasons, ...report.reasons] } });
}

interface TestRun {
  readonly outputs: Tensors;
  readonly ms: number;
}

/** Runs a session twice on an image of all values, and times the second run; undefined if its input is of any size. */
async function testRun(session: TestableSession): Promise<TestRun | undefined> {
  const input = session.imageInput;
  if (input === undefined) return undefined;
  const { name, type, shape } = input;
  const bytes = Uint8Array.from({ length: sizeOf(shape) }, (_, index) => (index * 97 + (index >> 5) * 31) % 256);
  const data = type === "uint8" ? bytes : Float32Array.from(bytes, (byte) => byte / 127.5 - 1);
  const feeds = { [name]: { type, shape, data } as Tensor };
  await session.run(feeds);
  const start = performance.now();
  const outputs = await session.run(feeds);
  return { outputs, ms: performance.now() - start };
}

/** Compares a run on the GPU with one in WebAssembly. */
function problemOf(expected: TestRun | undefined, found: TestRun | undefined, tolerance: number): string | undefined {
  if (expected === undefined || found === undefined) return undefined;
  for (const [name, { data }] of Object.entries(expected.outputs)) {
    const [wanted, got] = [data as FloatTensor["data"], found.outputs[name]?.data as FloatTensor["data"] | undefined];
    let [largest, difference] = [0, 0];
    for (const [index, value] of wanted.entries()) {
      largest = Math.max(largest, Math.abs(value));
      const apart = Math.abs(value - got![index]!);
      // Of NaN, too.
      if (!(apart <= difference)) difference = apart;
    }
    if (!(difference <= tolerance * largest)) {
      const share = (difference / largest).toExponential(0);
      return `it computed wrong values: they differ from WebAssembly's by ${share} of the largest.`;
    }
  }
  return undefined;
}

function text(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/** A session on the GPU, until a run fails there. */
class GpuSession implements Session {
  report: EngineReport | undefined;
  readonly #session: Session;
  readonly #gpu: Gpu;
  readonly #loadWasm: () => Promise<Session>;
  readonly #lost: Promise<never>;
  #replacement: Promise<Session> | undefined;

  constructor(session: Session, gpu: Gpu, report: EngineReport, loadWasm: () => Promise<Session>) {
    this.#session = session;
    this.#gpu = gpu;
    this.report = report;
    this.#loadWasm = loadWasm;
    // A run on a lost GPU may never end.
    this.#lost = gpu.device.lost.then(({ message }) => Promise.reject(new Error(`it was lost (${message})`)));
    this.#lost.catch(() => {});
  }

  async run(feeds: Tensors, options?: RunOptions): Promise<Tensors> {
    if (this.#replacement === undefined) {
      try {
        return await Promise.race([this.#session.run(feeds, options), this.#lost]);
      } catch (error) {
        this.#replacement ??= this.#replace((error as Error).message);
      }
    }
    return (await this.#replacement).run(feeds, options);
  }

  async #replace(reason: string): Promise<Session> {
    this.#gpu.device.destroy();
    const session = await this.#loadWasm();
    const { report } = session;
    this.report = report && {
      ...report,
      reasons: [`WebAssembly instead of WebGPU on ${this.#gpu.name}: ${reason}.`, ...report.reasons],
    };
    return session;
  }

  endProfiling() {
    return this.#session.endProfiling();
  }

  async dispose(): Promise<void> {
    if (this.#replacement) return (await this.#replacement).dispose();
    await this.#session.dispose();
    this.#gpu.device.destroy();
  }
}
