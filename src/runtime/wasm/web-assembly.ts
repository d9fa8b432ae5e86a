import { plainKernels, relaxedKernels } from "./kernel-modules.ts";

/** A memory of WebAssembly: a `SharedArrayBuffer` if threads share it. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** Kernels by name. */
export type Kernels = Readonly<Record<string, (...args: readonly number[]) => number>>;

/** TypeScript has no types of WebAssembly outside of browsers. */
interface WebAssemblyFunctions {
  validate(bytes: Uint8Array): boolean;
  compile(bytes: Uint8Array): Promise<object>;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  readonly Memory: new (limits: { initial: number; maximum: number; shared?: boolean }) => WasmMemory;
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyFunctions };

/** Instructions that the kernels use: `relaxed` SIMD includes a multiply-add, `plain` SIMD runs everywhere. */
export type KernelBuild = "relaxed" | "plain";

/** Returns the fastest build that this machine runs: `(f32x4.relaxed_madd …)` in a function tells. */
export function fastestBuild(): KernelBuild {
  const vector = [0xfd, 0x0c, ...new Array<number>(16).fill(0)];
  const body = [0, ...vector, ...vector, ...vector, 0xfd, 0x85, 0x02, 0x1a, 0x0b];
  const type = [1, 4, 1, 0x60, 0, 0];
  const module = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...type, 3, 2, 1, 0, 10, body.length + 2, 1, body.length, ...body];
  return WebAssembly.validate(Uint8Array.from(module)) ? "relaxed" : "plain";
}

/**
 * Compiles the kernels.
 * @param isShared for a memory that threads share.
 */
export async function compileKernels(build: KernelBuild, isShared: boolean): Promise<object> {
  const deflated = Uint8Array.from(atob(build === "relaxed" ? relaxedKernels : plainKernels), (each) =>
    each.charCodeAt(0),
  );
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return WebAssembly.compile(isShared ? withSharedMemory(bytes) : bytes);
}

/** Creates a memory of a fixed size. */
export function createMemory(size: number, isShared: boolean): WasmMemory {
  const pages = Math.ceil(size / 65536);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, ...(isShared && { shared: true }) });
}

/** Binds the kernels to a memory. */
export function instantiateKernels(module: object, memory: WasmMemory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as Kernels;
}

/** Declares the imported memory, `"memory"` 2 (memory) 1 (with a maximum), as shared: 3. The code is the same. */
function withSharedMemory(bytes: Uint8Array): Uint8Array {
  const name = [...new TextEncoder().encode("memory"), 2, 1];
  const at = bytes.findIndex((_, start) => name.every((byte, index) => bytes[start + index] === byte));
  return bytes.with(at + name.length - 1, 3);
}
