import { FormatError } from "../../src/base/errors.ts";

/** Jobs for another thread; each is found by its name. */
export const address = import.meta.url;

let preparations = 0;

/** Called when a thread has loaded this module, before it has a job. */
export function prepare(): void {
  preparations++;
}

export function countPreparations(): number {
  return preparations;
}

/** Compiles the smallest program in WebAssembly there is. */
export async function compile(): Promise<boolean> {
  const { WebAssembly } = globalThis as unknown as {
    WebAssembly: { instantiate(bytes: Uint8Array, imports: object): Promise<{ instance?: object }> };
  };
  const { instance } = await WebAssembly.instantiate(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), {});
  return instance !== undefined;
}

export function double(numbers: Float32Array): Float32Array {
  return numbers.map((value) => 2 * value);
}

export function forever(): never {
  for (;;);
}

export function refuse(): never {
  throw new FormatError({ where: "it", what: "this is wrong", received: 7, expected: "8", remedy: "Try again." });
}

export function fail(): never {
  throw new TypeError("a mistake");
}

/** Bytes that a memory of WebAssembly can be brought to, up to 100 MiB. */
export function largestMemory(): number {
  const { WebAssembly } = globalThis as unknown as {
    WebAssembly: { Memory: new (size: object) => { grow(pages: number): void; buffer: ArrayBuffer } };
  };
  const memory = new WebAssembly.Memory({ initial: 1 });
  try {
    while (memory.buffer.byteLength < 100 * 2 ** 20) memory.grow(16);
  } catch {
    // The limit.
  }
  return memory.buffer.byteLength;
}
