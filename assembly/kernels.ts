/**
 * The kernels of the WebAssembly engine, in AssemblyScript: TypeScript's syntax, the numbers and instructions of WebAssembly.
 * `npm run kernels` compiles them twice, with and without relaxed SIMD, into src/runtime/wasm/kernel-modules.ts. Addresses are
 * in bytes, every other length in floats; images are channels last. Each call computes a range of a step's result, so that
 * threads can share a step.
 */

/**
 * Rows of a tile of 8 columns. 12 sums in 6 rows would fill the 16 vector registers of x86, but V8 moves the loads of A ahead of
 * all multiplications and then runs out of registers: with 8 sums, 4 rows and 2 columns it does not.
 */
const tileRows: i32 = 4;
/** Rows of A that are prepared at once. */
const blockRows: i32 = 12 * tileRows;
/** Columns of A in one block: with a tile of A, its panel of B, 256 × 8, fills a third of the fastest cache. */
const blockDepth: i32 = 256;
/** Bytes from row to row of a block of A: the 20 spare floats put the rows of a tile into different banks of the cache. */
const rowBytes: i32 = (blockDepth + 20) * 4;
/** Bytes of one block of A. */
const blockBytes: i32 = blockRows * rowBytes;
/** Bytes of a tile at the edge, before its valid part is copied. */
const edgeBytes: i32 = tileRows * 32;

function multiplyAdd(a: v128, b: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, sum);
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** x where it is greater than `low`, else `low`: one instruction, unlike `max`. */
function atLeast(x: v128, low: v128): v128 {
  return f32x4.pmax(x, low);
}

function lowest(isRelu: i32): f32 {
  return isRelu ? 0 : -Infinity;
}

/**
 * Adds A · B to a tile of C: `depth` columns of A by as many rows of B's panel.
 * @param bias of the panel: the sums start from it, or from C if it is 0.
 * @param residual added to the sums, or 0.
 */
function tile(
  a: usize,
  depth: i32,
  b: usize,
  c: usize,
  cBytes: i32,
  bias: usize,
  residual: usize,
  residualBytes: i32,
  low: f32,
): void {
  let c00: v128, c01: v128, c10: v128, c11: v128, c20: v128, c21: v128, c30: v128, c31: v128;
  if (bias) {
    c00 = c10 = c20 = c30 = v128.load(bias);
    c01 = c11 = c21 = c31 = v128.load(bias, 16);
  } else {
    let from = c;
    c00 = v128.load(from);
    c01 = v128.load(from, 16);
    from += cBytes;
    c10 = v128.load(from);
    c11 = v128.load(from, 16);
    from += cBytes;
    c20 = v128.load(from);
    c21 = v128.load(from, 16);
    from += cBytes;
    c30 = v128.load(from);
    c31 = v128.load(from, 16);
  }
  const end = a + ((<usize>depth) << 2);
  do {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let value = v128.load_splat<f32>(a);
    c00 = multiplyAdd(value, b0, c00);
    c01 = multiplyAdd(value, b1, c01);
    value = v128.load_splat<f32>(a, rowBytes);
    c10 = multiplyAdd(value, b0, c10);
    c11 = multiplyAdd(value, b1, c11);
    value = v128.load_splat<f32>(a, 2 * rowBytes);
    c20 = multiplyAdd(value, b0, c20);
    c21 = multiplyAdd(value, b1, c21);
    value = v128.load_splat<f32>(a, 3 * rowBytes);
    c30 = multiplyAdd(value, b0, c30);
    c31 = multiplyAdd(value, b1, c31);
    a += 4;
    b += 32;
  } while (a < end);
  if (residual) {
    c00 = f32x4.add(c00, v128.load(residual));
    c01 = f32x4.add(c01, v128.load(residual, 16));
    residual += residualBytes;
    c10 = f32x4.add(c10, v128.load(residual));
    c11 = f32x4.add(c11, v128.load(residual, 16));
    residual += residualBytes;
    c20 = f32x4.add(c20, v128.load(residual));
    c21 = f32x4.add(c21, v128.load(residual, 16));
    residual += residualBytes;
    c30 = f32x4.add(c30, v128.load(residual));
    c31 = f32x4.add(c31, v128.load(residual, 16));
  }
  const least = f32x4.splat(low);
  v128.store(c, atLeast(c00, least));
  v128.store(c, atLeast(c01, least), 16);
  c += cBytes;
  v128.store(c, atLeast(c10, least));
  v128.store(c, atLeast(c11, least), 16);
  c += cBytes;
  v128.store(c, atLeast(c20, least));
  v128.store(c, atLeast(c21, least), 16);
  c += cBytes;
  v128.store(c, atLeast(c30, least));
  v128.store(c, atLeast(c31, least), 16);
}

/** A tile that reaches beyond C: computed beside it, then its valid part is copied. */
function edgeTile(
  a: usize,
  depth: i32,
  b: usize,
  c: usize,
  cBytes: i32,
  bias: usize,
  residual: usize,
  residualBytes: i32,
  low: f32,
  rows: i32,
  columns: i32,
  edge: usize,
): void {
  const other = edge + edgeBytes;
  if (residual) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const from = residual + row * residualBytes + (column << 2);
        store<f32>(other + (row << 5) + (column << 2), load<f32>(from));
      }
    }
  }
  // The sums do not visit C between blocks: it has no room for the whole tile.
  for (let start = 0; start < depth; start += blockDepth) {
    const rest = depth - start;
    const isLast = rest <= blockDepth;
    tile(
      a + (start / blockDepth) * blockBytes,
      isLast ? rest : blockDepth,
      b + (start << 5),
      edge,
      32,
      start === 0 ? bias : 0,
      isLast && residual ? other : 0,
      32,
      isLast ? low : -Infinity,
    );
  }
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      store<f32>(c + row * cBytes + (column << 2), load<f32>(edge + (row << 5) + (column << 2)));
    }
  }
}

/** Copies floats as vectors: up to three floats beyond the end are written, too. */
function copyVectors(to: usize, from: usize, count: i32, least: v128): void {
  const end = to + ((<usize>count) << 2);
  while (to < end) {
    v128.store(to, atLeast(v128.load(from), least));
    to += 16;
    from += 16;
  }
}

/** Stores the first `count` lanes, at most all. */
function put(to: usize, value: v128, count: i32): void {
  if (count >= 4) {
    v128.store(to, value);
    return;
  }
  store<f32>(to, f32x4.extract_lane(value, 0));
  if (count > 1) store<f32>(to, f32x4.extract_lane(value, 1), 4);
  if (count > 2) store<f32>(to, f32x4.extract_lane(value, 2), 8);
}

/**
 * One row of A for an ordinary convolution: the window's pixels one after another, zeros outside the image. It is written
 * in ascending order, since each part may overrun its end.
 */
function gather(
  x: usize,
  height: i32,
  width: i32,
  channels: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  top: i32,
  left: i32,
  isRelu: i32,
  row: usize,
): void {
  const least = f32x4.splat(lowest(isRelu));
  const none = f32x4.splat(-Infinity);
  const from = max(left, 0);
  const to = min(left + kernelWidth, width);
  let column = 0;
  for (let line = top; line < top + kernelHeight; line++) {
    const isInside = line >= 0 && line < height && to > from;
    const before = isInside ? (from - left) * channels : kernelWidth * channels;
    column = fill(row, column, before, 0, none);
    if (isInside) {
      const source = x + ((<usize>((line * width + from) * channels)) << 2);
      column = fill(row, column, (to - from) * channels, source, least);
      column = fill(row, column, (left + kernelWidth - to) * channels, 0, none);
    }
  }
}

/** Writes floats from `source`, or zeros, to a row of A that continues from block to block; returns the next column. */
function fill(row: usize, column: i32, count: i32, source: usize, least: v128): i32 {
  while (count > 0) {
    const within = column % blockDepth;
    const part = min(count, blockDepth - within);
    const to = row + (column / blockDepth) * blockBytes + (within << 2);
    if (source) {
      copyVectors(to, source, part, least);
      source += (<usize>part) << 2;
    } else {
      const zero = f32x4.splat(0);
      for (let at = to; at < to + ((<usize>part) << 2); at += 16) v128.store(at, zero);
    }
    column += part;
    count -= part;
  }
  return column;
}

/** A depthwise convolution's channels `first` … `last` for some pixels of one row of the result. */
function depthwiseRun(
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

/**
 * A convolution as a matrix multiplication, A · B + bias + residual: the rows of A are the windows of the result's pixels or,
 * with `depthwiseWeights`, what a depthwise convolution makes of them. Pixels `from` … `to`, panels `firstPanel` … `lastPanel`.
 * @param yStride floats from pixel to pixel of the result.
 * @param weights B in panels of 8 filters, `[filters / 8, depth, 8]`, filled up with zeros, like the bias.
 * @param residual added before the activation, `[pixels, filters]`; 0 if there is none.
 * @param scratch memory of this thread.
 */
export function conv(
  x: usize,
  height: i32,
  width: i32,
  channels: i32,
  y: usize,
  yStride: i32,
  outWidth: i32,
  filters: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  strideY: i32,
  strideX: i32,
  padTop: i32,
  padLeft: i32,
  weights: usize,
  bias: usize,
  residual: usize,
  isInputRelu: i32,
  isRelu: i32,
  depthwiseWeights: usize,
  depthwiseBias: usize,
  isDepthwiseRelu: i32,
  from: i32,
  to: i32,
  firstPanel: i32,
  lastPanel: i32,
  scratch: usize,
): void {
  const edge = scratch;
  const a = scratch + 2 * edgeBytes;
  const depth = depthwiseWeights ? channels : kernelHeight * kernelWidth * channels;
  const panelBytes = depth << 5;
  const yBytes = yStride << 2;
  const residualBytes = filters << 2;
  const low = lowest(isRelu);
  const wholePanels = min(lastPanel, filters / 8);
  for (; from < to; from += blockRows) {
    const rows = min(blockRows, to - from);
    let row = 0;
    while (row < rows) {
      const line = (from + row) / outWidth;
      const column = (from + row) % outWidth;
      const count = min(rows - row, outWidth - column);
      const top = line * strideY - padTop;
      const left = column * strideX - padLeft;
      if (depthwiseWeights) {
        for (let first = 0; first < channels; first += blockDepth) {
          depthwiseRun(
            x,
            height,
            width,
            channels,
            kernelHeight,
            kernelWidth,
            top,
            left,
            strideX,
            depthwiseWeights,
            depthwiseBias,
            isInputRelu,
            isDepthwiseRelu,
            first,
            min(channels, first + blockDepth),
            count,
            a + (first / blockDepth) * blockBytes + row * rowBytes,
            rowBytes,
          );
        }
      } else {
        for (let pixel = 0; pixel < count; pixel++) {
          gather(
            x,
            height,
            width,
            channels,
            kernelHeight,
            kernelWidth,
            top,
            left + pixel * strideX,
            isInputRelu,
            a + (row + pixel) * rowBytes,
          );
        }
      }
      row += count;
    }

    const c = y + from * yBytes;
    const r = residual ? residual + from * residualBytes : 0;
    const wholeRows = rows - (rows % tileRows);
    for (let start = 0; start < depth; start += blockDepth) {
      const rest = depth - start;
      const isLast = rest <= blockDepth;
      const block = a + (start / blockDepth) * blockBytes;
      const blockColumns = isLast ? rest : blockDepth;
      const blockLow = isLast ? low : -Infinity;
      for (let panel = firstPanel; panel < wholePanels; panel++) {
        const b = weights + panel * panelBytes + ((<usize>start) << 5);
        const initial = start === 0 ? bias + ((<usize>panel) << 5) : 0;
        const added = isLast && residual ? r + ((<usize>panel) << 5) : 0;
        for (let at = 0; at < wholeRows; at += tileRows) {
          tile(
            block + at * rowBytes,
            blockColumns,
            b,
            c + at * yBytes + ((<usize>panel) << 5),
            yBytes,
            initial,
            added ? added + at * residualBytes : 0,
            residualBytes,
            blockLow,
          );
        }
      }
    }
    for (let panel = firstPanel; panel < lastPanel; panel++) {
      for (let at = panel < wholePanels ? wholeRows : 0; at < rows; at += tileRows) {
        edgeTile(
          a + at * rowBytes,
          depth,
          weights + panel * panelBytes,
          c + at * yBytes + ((<usize>panel) << 5),
          yBytes,
          bias + ((<usize>panel) << 5),
          residual ? r + at * residualBytes + ((<usize>panel) << 5) : 0,
          residualBytes,
          low,
          min(tileRows, rows - at),
          min(8, filters - 8 * panel),
          edge,
        );
      }
    }
  }
}

/** Bytes that `conv` needs in `scratch` for rows of A of this length. */
export function scratchBytes(depth: i32): i32 {
  return 2 * edgeBytes + ((depth + blockDepth - 1) / blockDepth) * blockBytes;
}

/** Rows of a tile: threads share a convolution's pixels in multiples of it. */
export function rowsOfTile(): i32 {
  return tileRows;
}

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
