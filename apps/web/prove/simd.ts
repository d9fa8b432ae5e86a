/** Header of a module with one function of type `() → v128`. */
const head = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0];

/** Whether the browser accepts a module whose function has these instructions. */
function accepts(instructions: readonly number[]): boolean {
  const body = [0, ...instructions, 0x0b];
  return WebAssembly.validate(Uint8Array.from([...head, 10, body.length + 2, 1, body.length, ...body]));
}

/** `i32.const 0; i8x16.splat` */
const splat = [0x41, 0, 0xfd, 15];

/** The vector instructions of this browser's WebAssembly. */
export function simd(): "none" | "plain" | "relaxed" {
  // f32x4.relaxed_madd is 0xfd 0x105.
  if (accepts([...splat, ...splat, ...splat, 0xfd, 0x85, 0x02])) return "relaxed";
  return accepts(splat) ? "plain" : "none";
}
