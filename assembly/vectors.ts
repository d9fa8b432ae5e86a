export function multiplyAdd(a: v128, b: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, sum);
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** x where it is greater than `low`, else `low`: one instruction, unlike `max`. */
export function atLeast(x: v128, low: v128): v128 {
  return f32x4.pmax(x, low);
}

export function lowest(isRelu: i32): f32 {
  return isRelu ? 0 : -Infinity;
}

/** Stores the first `count` lanes, at most all. */
export function put(to: usize, value: v128, count: i32): void {
  if (count >= 4) {
    v128.store(to, value);
    return;
  }
  store<f32>(to, f32x4.extract_lane(value, 0));
  if (count > 1) store<f32>(to, f32x4.extract_lane(value, 1), 4);
  if (count > 2) store<f32>(to, f32x4.extract_lane(value, 2), 8);
}
