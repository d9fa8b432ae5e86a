/** Sines of whole numbers, as MD5 adds them. */
const sines = Int32Array.from({ length: 64 }, (_, index) => Math.floor(2 ** 32 * Math.abs(Math.sin(index + 1))));
/** Rotations of each round, in turns of four steps. */
const rotations = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];

/**
 * MD5 of bytes, as 32 hexadecimal digits: published weights state it, and Web Crypto lacks it. It detects damage, not malice.
 * @see https://www.rfc-editor.org/rfc/rfc1321
 */
export function md5(bytes: Uint8Array): string {
  const whole = bytes.length - (bytes.length % 64);
  const last = new Uint8Array(bytes.length % 64 < 56 ? 64 : 128);
  last.set(bytes.subarray(whole));
  last[bytes.length - whole] = 0x80;
  new DataView(last.buffer).setBigUint64(last.length - 8, 8n * BigInt(bytes.length), true);
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  addBlocks(state, bytes.subarray(0, whole));
  addBlocks(state, last);
  return Array.from(new Uint8Array(state.buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param bytes whole blocks of 64. */
function addBlocks(state: Int32Array, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = new Int32Array(16);
  for (let start = 0; start < bytes.length; start += 64) {
    for (let index = 0; index < 16; index++) words[index] = view.getInt32(start + 4 * index, true);
    let [a, b, c, d] = [state[0]!, state[1]!, state[2]!, state[3]!];
    for (let step = 0; step < 64; step++) {
      const round = step >> 4;
      let sum = a + sines[step]!;
      if (round === 0) sum += ((b & c) | (~b & d)) + words[step]!;
      else if (round === 1) sum += ((d & b) | (~d & c)) + words[(5 * step + 1) & 15]!;
      else if (round === 2) sum += (b ^ c ^ d) + words[(3 * step + 5) & 15]!;
      else sum += (c ^ (b | ~d)) + words[(7 * step) & 15]!;
      const turn = rotations[4 * round + (step & 3)]!;
      a = d;
      d = c;
      c = b;
      b = (b + ((sum << turn) | (sum >>> (32 - turn)))) | 0;
    }
    for (const [index, value] of [a, b, c, d].entries()) state[index] = state[index]! + value;
  }
}
