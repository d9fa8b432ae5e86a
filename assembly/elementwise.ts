import { atLeast, lowest, put } from "./vectors";

/** Max pooling, or the mean of each window's pixels inside the image; the result's pixels `from` … `to`. */
export function pool(
  x: usize,
  height: i32,
  width: i32,
  channels: i32,
  y: usize,
  yStride: i32,
  outWidth: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  strideY: i32,
  strideX: i32,
  padTop: i32,
  padLeft: i32,
  isMax: i32,
  from: i32,
  to: i32,
): void {
  const pixelBytes = channels << 2;
  const lineBytes = width * pixelBytes;
  for (; from < to; from++) {
    const top = (from / outWidth) * strideY - padTop;
    const left = (from % outWidth) * strideX - padLeft;
    const first = max(top, 0);
    const last = min(top + kernelHeight, height);
    const begin = max(left, 0);
    const end = min(left + kernelWidth, width);
    const out = y + ((<usize>(from * yStride)) << 2);
    const count = f32x4.splat(<f32>((last - first) * (end - begin)));
    for (let channel = 0; channel < channels; channel += 4) {
      let result = f32x4.splat(isMax ? -Infinity : 0);
      for (let line = first; line < last; line++) {
        let at = x + line * lineBytes + begin * pixelBytes + ((<usize>channel) << 2);
        for (let column = begin; column < end; column++) {
          const value = v128.load(at);
          result = isMax ? f32x4.pmax(result, value) : f32x4.add(result, value);
          at += pixelBytes;
        }
      }
      if (!isMax) result = f32x4.div(result, count);
      put(out + ((<usize>channel) << 2), result, channels - channel);
    }
  }
}

/** x + y, or max(x + y, 0), for the vectors `from` … `to`. */
export function add(x: usize, y: usize, sum: usize, isRelu: i32, from: i32, to: i32): void {
  const least = f32x4.splat(lowest(isRelu));
  for (let at = (<usize>from) << 4; at < (<usize>to) << 4; at += 16) {
    v128.store(sum + at, atLeast(f32x4.add(v128.load(x + at), v128.load(y + at)), least));
  }
}

/** scale · x + shift for each channel, or its positive part, for the pixels `from` … `to`. */
export function affine(
  x: usize,
  channels: i32,
  y: usize,
  yStride: i32,
  scale: usize,
  shift: usize,
  isRelu: i32,
  from: i32,
  to: i32,
): void {
  const least = f32x4.splat(lowest(isRelu));
  for (; from < to; from++) {
    const source = x + ((<usize>(from * channels)) << 2);
    const target = y + ((<usize>(from * yStride)) << 2);
    for (let channel = 0; channel < channels; channel += 4) {
      const at = (<usize>channel) << 2;
      const scaled = f32x4.mul(v128.load(source + at), v128.load(scale + at));
      put(target + at, atLeast(f32x4.add(scaled, v128.load(shift + at)), least), channels - channel);
    }
  }
}
