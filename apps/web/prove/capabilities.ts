import { adapterName, findAdapter } from "../../../src/runtime/web/gpu.ts";
import { simd } from "./simd.ts";

/** What this browser has for the engines. */
export interface Capabilities {
  /** Vector instructions of WebAssembly: none, plain, or with multiply-add. */
  readonly vectors: "none" | "plain" | "relaxed";
  readonly threads: number;
  /** Threads share memory only where the page is isolated from other origins. */
  readonly isolated: boolean;
  /** Name of the GPU as far as the browser tells it; undefined without WebGPU or a GPU. */
  readonly gpu: string | undefined;
  /** The GPU computes in half precision. */
  readonly half: boolean;
}

/** Finds out what this browser has. */
export async function detectCapabilities(): Promise<Capabilities> {
  const found = await findAdapter();
  const adapter = typeof found === "string" ? undefined : found;
  return {
    vectors: simd(),
    threads: navigator.hardwareConcurrency,
    isolated: crossOriginIsolated,
    gpu: adapter && adapterName(adapter),
    half: adapter?.features.has("shader-f16") ?? false,
  };
}
