import { RuntimeUnavailableError } from "../../base/errors.ts";
import type { EngineReport, Session, SessionOptions, Tensors } from "../../base/platform.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { ImageInput, ImageSession } from "../wasm/session.ts";
import { type Gpu, openGpu } from "./gpu.ts";

/** Loads a model that was compiled for WebAssembly. */
export type LoadWasm = (model: Uint8Array) => Promise<ImageSession>;

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
  const { imageInput } = wasm;
  if (imageInput === undefined) return withReasons(wasm, ["Not WebGPU: an input of any size cannot be checked."]);
  const gpu = await openGpu();
  if (typeof gpu === "string") return withReasons(wasm, [`Not WebGPU: ${gpu}.`]);
  const expected = await testRun(wasm, imageInput);
  const reasons: string[] = [];
  for (const precision of gpu.hasHalf ? (["float16", "float32"] as const) : (["float32"] as const)) {
    const where = `WebGPU on ${gpu.name} in ${precision}`;
    try {
      const { createGpuSession, gpuEngineVersion } = await import("./gpu-session.ts");
      const session = await createGpuSession(await compileFor({ device: "webgpu", precision }), gpu, onnxruntime);
      const found = await testRun(session, imageInput);
      const difference = largestDifference(expected.outputs, found.outputs);
      const speeds = `${text(found.ms)} a run, ${text(expected.ms)} in WebAssembly`;
      const isRight = difference <= tolerances[precision];
      if (isRight && (device === "webgpu" || found.ms < expected.ms)) {
        await wasm.dispose();
        const report = {
          name: `ONNX Runtime ${gpuEngineVersion()}, WebGPU`,
          device: "webgpu",
          threads: 1,
          reasons: [...reasons, `${where}: ${speeds}.`],
          runMs: found.ms,
        } as const;
        return gpuSession(session, gpu, report, async () => loadWasm(await compileFor({ device: "wasm" })));
      }
      await session.dispose();
      const differs = `its values differ from WebAssembly's by ${difference.toExponential(0)} of the largest`;
      reasons.push(`Not ${where}: ${isRight ? speeds : differs}.`);
      if (isRight) break;
    } catch (error) {
      reasons.push(`Not ${where}: ${(error as Error).message}`);
    }
  }
  gpu.device.destroy();
  return withReasons(wasm, reasons);
}

function withReasons(session: ImageSession, reasons: readonly string[]): Session {
  const { report } = session;
  return Object.assign(session, { report: report && { ...report, reasons: [...reasons, ...report.reasons] } });
}

/** Runs a session twice on an image of all values, and times the second run. */
async function testRun(session: Session, { name, type, shape }: ImageInput) {
  const bytes = Uint8Array.from({ length: sizeOf(shape) }, (_, index) => (index * 97 + (index >> 5) * 31) % 256);
  const data = type === "uint8" ? bytes : Float32Array.from(bytes, (byte) => byte / 127.5 - 1);
  const feeds = { [name]: { type, shape, data } as Tensor };
  await session.run(feeds);
  const start = performance.now();
  const outputs = await session.run(feeds);
  return { outputs, ms: performance.now() - start };
}

/** Largest difference of outputs, relative to the largest of the expected ones; infinite if one is NaN. */
function largestDifference(expected: Tensors, found: Tensors): number {
  const shares = Object.entries(expected).map(([name, { data }]) => {
    const [wanted, got] = [data as Float32Array, found[name]!.data as Float32Array];
    let [largest, difference] = [0, 0];
    for (const [index, value] of wanted.entries()) {
      largest = Math.max(largest, Math.abs(value));
      difference = Math.max(difference, Math.abs(value - got[index]!));
    }
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference / largest;
  });
  return Math.max(...shares);
}

function text(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/** A session on the GPU, until a run fails there. */
function gpuSession(session: Session, gpu: Gpu, chosen: EngineReport, loadWasm: () => Promise<Session>): Session {
  // A run on a lost GPU may never end.
  const lost = gpu.device.lost.then(({ message }) => Promise.reject(new Error(`it was lost (${message})`)));
  lost.catch(() => {});
  let report: EngineReport | undefined = chosen;
  let replacement: Promise<Session> | undefined;
  const replace = async (reason: string): Promise<Session> => {
    gpu.device.destroy();
    const other = await loadWasm();
    const reasons = [`WebAssembly instead of WebGPU on ${gpu.name}: ${reason}.`, ...(other.report?.reasons ?? [])];
    report = other.report && { ...other.report, reasons };
    return other;
  };
  return {
    get report() {
      return report;
    },
    async run(feeds, options) {
      if (replacement === undefined) {
        try {
          return await Promise.race([session.run(feeds, options), lost]);
        } catch (error) {
          replacement ??= replace((error as Error).message);
        }
      }
      return (await replacement).run(feeds, options);
    },
    endProfiling: () => session.endProfiling(),
    async dispose() {
      if (replacement) return (await replacement).dispose();
      await session.dispose();
      gpu.device.destroy();
    },
  };
}
