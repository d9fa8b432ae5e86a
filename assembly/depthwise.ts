import { atLeast, lowest, multiplyAdd, put } from "./vectors";

/** A depthwise convolution's channels `first` … `last` for some pixels of one row of the result. */
export function depthwiseRun(
  x: usize,
  height: i32,
  width: i32,
  channels: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  top: i32,
  left: i32,
  strideX: i32,
  weights: usize,
  bias: usize,
  isInputRelu: i32,
  isRelu: i32,
  first: i32,
  last: i32,
  count: i32,
  to: usize,
  toBytes: i32,
): void {
  const least = f32x4.splat(lowest(isRelu));
  const inputLeast = f32x4.splat(lowest(isInputRelu));
  const pixelBytes = channels << 2;
  const lineBytes = width * pixelBytes;
  const kernelTop = max(0, -top);
  const kernelBottom = min(kernelHeight, height - top);
  const isFast = kernelWidth === 3 && strideX === 1;
  let pixel = 0;
  while (pixel < count) {
    const x0 = left + pixel * strideX;
    if (isFast && x0 >= 0 && count - pixel >= 4 && x0 + 6 <= width) {
      for (let channel = first; channel < last; channel += 4) {
        const start = v128.load(bias + ((<usize>channel) << 2));
        let y0 = start,
          y1 = start,
          y2 = start,
          y3 = start;
        let from = x + (top + kernelTop) * lineBytes + x0 * pixelBytes + ((<usize>channel) << 2);
        let w = weights + kernelTop * 3 * pixelBytes + ((<usize>channel) << 2);
        for (let line = kernelTop; line < kernelBottom; line++) {
          const w0 = v128.load(w);
          const w1 = v128.load(w + pixelBytes);
          const w2 = v128.load(w + 2 * pixelBytes);
          let at = from;
          let value = atLeast(v128.load(at), inputLeast);
          y0 = multiplyAdd(value, w0, y0);
          at += pixelBytes;
          value = atLeast(v128.load(at), inputLeast);
          y0 = multiplyAdd(value, w1, y0);
          y1 = multiplyAdd(value, w0, y1);
          at += pixelBytes;
          value = atLeast(v128.load(at), inputLeast);
          y0 = multiplyAdd(value, w2, y0);
          y1 = multiplyAdd(value, w1, y1);
          y2 = multiplyAdd(value, w0, y2);
          at += pixelBytes;
          value = atLeast(v128.load(at), inputLeast);
          y1 = multiplyAdd(value, w2, y1);
          y2 = multiplyAdd(value, w1, y2);
          y3 = multiplyAdd(value, w0, y3);
          at += pixelBytes;
          value = atLeast(v128.load(at), inputLeast);
          y2 = multiplyAdd(value, w2, y2);
          y3 = multiplyAdd(value, w1, y3);
          at += pixelBytes;
          value = atLeast(v128.load(at), inputLeast);
          y3 = multiplyAdd(value, w2, y3);
          from += lineBytes;
          w += 3 * pixelBytes;
        }
        let out = to + ((<usize>(channel - first)) << 2);
        const rest = last - channel;
        put(out, atLeast(y0, least), rest);
        out += toBytes;
        put(out, atLeast(y1, least), rest);
        out += toBytes;
        put(out, atLeast(y2, least), rest);
        out += toBytes;
        put(out, atLeast(y3, least), rest);
      }
      pixel += 4;
      to += 4 * toBytes;
      continue;
    }
    const kernelLeft = max(0, -x0);
    const kernelRight = min(kernelWidth, width - x0);
    for (let channel = first; channel < last; channel += 4) {
      let sum = v128.load(bias + ((<usize>channel) << 2));
      for (let line = kernelTop; line < kernelBottom; line++) {
        let from = x + (top + line) * lineBytes + (x0 + kernelLeft) * pixelBytes + ((<usize>channel) << 2);
        let w = weights + (line * kernelWidth + kernelLeft) * pixelBytes + ((<usize>channel) << 2);
        for (let column = kernelLeft; column < kernelRight; column++) {
          sum = multiplyAdd(atLeast(v128.load(from), inputLeast), v128.load(w), sum);
          from += pixelBytes;
          w += pixelBytes;
        }
      }
      put(to + ((<usize>(channel - first)) << 2), atLeast(sum, least), last - channel);
    }
    pixel++;
    to += toBytes;
  }
}

/**
 * A depthwise convolution; its result's pixels `from` … `to`.
 * @param weights `[kernelHeight, kernelWidth, channels]`.
 */
export function depthwise(
  x: usize,
  height: i32,
  width: i32,
  channels: i32,
  y: usize,
  outWidth: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  strideY: i32,
  strideX: i32,
  padTop: i32,
  padLeft: i32,
  weights: usize,
  bias: usize,
  isInputRelu: i32,
  isRelu: i32,
  from: i32,
  to: i32,
): void {
  const bytes = channels << 2;
  while (from < to) {
    const line = from / outWidth;
    const column = from % outWidth;
    const count = min(to - from, outWidth - column);
    depthwiseRun(
      x,
      height,
      width,
      channels,
      kernelHeight,
      kernelWidth,
      line * strideY - padTop,
      column * strideX - padLeft,
      strideX,
      weights,
      bias,
      isInputRelu,
      isRelu,
      0,
      channels,
      count,
      y + from * bytes,
      bytes,
    );
    from += count;
  }
}
