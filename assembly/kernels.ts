/**
 * The kernels of the WebAssembly engine, in AssemblyScript: TypeScript's syntax, the numbers and instructions of WebAssembly.
 * `npm run kernels` compiles them twice, with and without relaxed SIMD, into src/runtime/wasm/kernel-modules.ts. Addresses are
 * in bytes, every other length in floats; images are channels last. Each call computes a range of a step's result, so that
 * threads can share a step.
 */

export { conv, rowsOfTile, scratchBytes } from "./conv";
export { depthwise } from "./depthwise";
export { add, affine, pool } from "./elementwise";
