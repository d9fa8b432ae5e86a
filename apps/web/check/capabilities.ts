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

/** The part of WebGPU that is used here, which TypeScript's DOM lacks. */
interface Gpu {
  requestAdapter(): Promise<{
    readonly info: { readonly vendor: string; readonly architecture: string; readonly description: string };
    readonly features: ReadonlySet<string>;
  } | null>;
}

/** Finds out what this browser has. */
export async function detectCapabilities(): Promise<Capabilities> {
  const { gpu } = navigator as unknown as { readonly gpu?: Gpu };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  const { vendor = "", architecture = "", description = "" } = adapter?.info ?? {};
  return {
    vectors: simd(),
    threads: navigator.hardwareConcurrency,
    isolated: crossOriginIsolated,
    gpu: adapter
      ? description || [vendor, architecture].filter((part) => part !== "").join(" ") || "WebGPU"
      : undefined,
    half: adapter?.features.has("shader-f16") ?? false,
  };
}
