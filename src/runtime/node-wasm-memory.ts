interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** TypeScript has no types of WebAssembly outside of browsers. */
const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: { prototype: WasmMemory } } }).WebAssembly;

/** Gives each program in WebAssembly, in this thread from now on, no more memory than this. Node has no such limit. */
export function limitWasmMemory(bytes: number): void {
  const { grow } = Memory.prototype;
  Memory.prototype.grow = function (this: WasmMemory, pages: number): number {
    if (this.buffer.byteLength + pages * 65536 > bytes) throw new RangeError("the memory limit is reached");
    return grow.call(this, pages);
  };
}
