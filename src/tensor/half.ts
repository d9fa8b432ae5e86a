/** Converts the bits of float16 numbers to float32, exactly. */
export function fromHalf(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let at = 0; at < bits.length; at++) bits[at] = halfToFloatBits(halves[at]!);
  return new Float32Array(bits.buffer);
}

/**
 * Rounds float32 numbers to float16, ties to even; beyond 65504 they become infinite.
 * @returns the bits in memory order.
 * @see IEEE 754-2019, sections 3.6 (binary16) and 4.3.1
 */
export function toHalf(floats: Float32Array): Uint16Array {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  const halves = new Uint16Array(bits.length);
  for (let at = 0; at < bits.length; at++) halves[at] = halfBits(bits[at]!);
  return halves;
}

function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const fraction = bits & 0x7fffff;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  if (exponent === 143) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200);
  if (exponent > 30) return sign | 0x7c00;
  // A carry out of the fraction correctly increments the exponent.
  if (exponent > 0) return sign | shiftRounded((exponent << 23) | fraction, 13);
  if (exponent < -10) return sign;
  return sign | shiftRounded(fraction | 0x800000, 14 - exponent);
}

function shiftRounded(value: number, by: number): number {
  const kept = value >>> by;
  const rest = value - kept * 2 ** by;
  const half = 2 ** (by - 1);
  return rest > half || (rest === half && kept % 2 === 1) ? kept + 1 : kept;
}

/**
 * The bits of a float32 of the same value as a float16: sign, 5 bits of exponent (bias 15), 10 bits of fraction.
 * @see IEEE 754-2008, binary16
 */
function halfToFloatBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Without a leading one: float32 can normalize it. The shift takes its highest one to bit 10, just out of the fraction: 31 − 10 = 21.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}
