import { depthwiseRun } from "./depthwise";
import { blockBytes, blockDepth, blockRows, edgeBytes, edgeTile, rowBytes, tile, tileRows } from "./tile";
import { atLeast, lowest } from "./vectors";

/** Copies floats as vectors: up to three floats beyond the end are written, too. */
function copyVectors(to: usize, from: usize, count: i32, least: v128): void {
  const end = to + ((<usize>count) << 2);
  while (to < end) {
    v128.store(to, atLeast(v128.load(from), least));
    to += 16;
    from += 16;
  }
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
