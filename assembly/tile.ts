import { atLeast, multiplyAdd } from "./vectors";

/**
 * Rows of a tile of 8 columns. 12 sums in 6 rows would fill the 16 vector registers of x86, but V8 moves the loads of A ahead of
 * all multiplications and then runs out of registers: with 8 sums, 4 rows and 2 columns it does not.
 */
export const tileRows: i32 = 4;
/** Rows of A that are prepared at once. */
export const blockRows: i32 = 12 * tileRows;
/** Columns of A in one block: with a tile of A, its panel of B, 256 × 8, fills a third of the fastest cache. */
export const blockDepth: i32 = 256;
/** Bytes from row to row of a block of A: the 20 spare floats put the rows of a tile into different banks of the cache. */
export const rowBytes: i32 = (blockDepth + 20) * 4;
/** Bytes of one block of A. */
export const blockBytes: i32 = blockRows * rowBytes;
/** Bytes of a tile at the edge, before its valid part is copied. */
export const edgeBytes: i32 = tileRows * 32;

/**
 * Adds A · B to a tile of C: `depth` columns of A by as many rows of B's panel.
 * @param bias of the panel: the sums start from it, or from C if it is 0.
 * @param residual added to the sums, or 0.
 */
export function tile(
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
export function edgeTile(
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
