import type { OpOf, Value } from "../../graph/ops.ts";
import { sameShape, sizeOf } from "../../tensor/shape.ts";
import type { BlockedRules, BlockedTools } from "./blocked-tools.ts";
import { type Attributes, domains } from "./emitter.ts";
import { poolAttributes } from "./rules.ts";

/** Poolings and their gradients for values that exist in blocks. */
export const poolingRules: BlockedRules = {
  maxPool: (tools, config, { inputs: [x], outputs: [y] }) => {
    const { emit, forms, readers, maxima } = tools;
    if (!forms.isBlocked(x!)) return false;
    const [batch, channels, rows, columns] = x!.shape as Shape4;
    const [, , outRows, outColumns] = y!.shape as Shape4;
    const isDifferentiated = readers(y!).some(({ config: { kind } }) => kind === "maxPoolGradient");
    if (!isDifferentiated) {
      const order = forms.blockOrder(x!);
      const planes = emit.reshape(forms.get(x!, order), [1, batch * forms.lanes(channels), rows, columns]);
      const pooled = emit.compute(`${y!.name}/planes`, "MaxPool", [planes], poolAttributes(config), domains.blocked);
      const lanes = forms.lanes(channels);
      const shape = order === "blocks" ? [batch, lanes, outRows, outColumns] : [1, lanes, batch * outRows, outColumns];
      emit.node("Reshape", [pooled, emit.integers(shape)], [forms.define(y!, order)]);
      return true;
    }
    if (isHalving(config, x!)) {
      maxima.set(y!.name, emitHalving(tools, x!, y!));
      return true;
    }
    // The blocked operator does not say where the maxima are.
    const planes = emit.reshape(forms.get(x!, "channels"), [1, channels * batch, rows, columns]);
    const pooled = emit.unusedName(`${y!.name}/planes`);
    const where = emit.unusedName(`${y!.name}/where`);
    emit.node("MaxPool", [planes], [pooled, where], poolAttributes(config));
    maxima.set(y!.name, where);
    const shape = emit.integers([1, channels, batch * outRows, outColumns]);
    emit.node("Reshape", [pooled, shape], [forms.define(y!, "channels")]);
    return true;
  },

  maxPoolGradient: (tools, config, { inputs: [dy, x, y], outputs: [dx] }) => {
    const { emit, forms, maxima, spread } = tools;
    const where = maxima.get(y!.name);
    if (where === undefined) return false;
    spread.set(dx!.name, dy!);
    if (isHalving(config, x!)) {
      emitHalvingGradient(tools, where, [dy!, x!, y!], dx!);
      return true;
    }
    const [batch, channels, rows, columns] = x!.shape as Shape4;
    const count = [sizeOf(dy!.shape)];
    const zeros = emit.compute(`${dx!.name}/zeros`, "Expand", [emit.scalar(0), emit.integers([sizeOf(x!.shape)])]);
    const operands = [zeros, emit.reshape(where, count), emit.reshape(forms.get(dy!, "channels"), count)];
    const sums = emit.compute(`${dx!.name}/flat`, "ScatterElements", operands, {
      axis: { i: 0 },
      reduction: { s: "add" },
    });
    const shape = emit.integers([1, channels, batch * rows, columns]);
    emit.node("Reshape", [sums, shape], [forms.define(dx!, "channels")]);
    return true;
  },

  averagePool: ({ emit, forms }, config, { inputs: [x], outputs: [y] }) => {
    if (!forms.isBlocked(x!)) return false;
    const [batch, channels, rows, columns] = x!.shape as Shape4;
    const [, , outRows, outColumns] = y!.shape as Shape4;
    const order = forms.blockOrder(x!);
    const lanes = forms.lanes(channels);
    const planes = emit.reshape(forms.get(x!, order), [1, batch * lanes, rows, columns]);
    const pooled = emit.compute(`${y!.name}/planes`, "AveragePool", [planes], poolAttributes(config), domains.blocked);
    const shape = order === "blocks" ? [batch, lanes, outRows, outColumns] : [1, lanes, batch * outRows, outColumns];
    emit.node("Reshape", [pooled, emit.integers(shape)], [forms.define(y!, order)]);
    return true;
  },

  reduceMean: ({ emit, forms, block, nameOf }, { axes, keepDims }, { inputs: [x], outputs: [y] }) => {
    if (keepDims || !sameShape(axes, [2, 3]) || !forms.isBlocked(x!)) return false;
    const [batch, channels, rows, columns] = x!.shape as Shape4;
    const lanes = forms.lanes(channels);
    const order = forms.blockOrder(x!);
    const planes = emit.reshape(forms.get(x!, order), [1, batch * lanes, rows, columns]);
    let means = emit.compute(`${y!.name}/planes`, "GlobalAveragePool", [planes], {}, domains.blocked);
    if (order === "channelBlocks") {
      const view = emit.reshape(means, [lanes / block, batch, block]);
      means = emit.compute(`${y!.name}/swapped`, "Transpose", [view], { perm: { ints: [1, 0, 2] } });
    }
    const bounds = [[0], [channels], [1]].map((each) => emit.integers(each));
    emit.node("Slice", [emit.reshape(means, [batch, lanes]), ...bounds], [nameOf(y!)]);
    return true;
  },
};

type Shape4 = readonly [number, number, number, number];
type Axis = "rows" | "columns";

/** Image planes in channel blocks, `[1, planes, rows, columns]` in the engine's eyes. */
interface Planes {
  readonly name: string;
  readonly planes: number;
  readonly size: readonly [rows: number, columns: number];
}

/** Returns whether a pooling is Xception's: 3×3, every second position, padded to ceil(size / 2). */
export function isHalving({ kernel, strides, pads }: OpOf<"maxPool" | "maxPoolGradient">, { shape }: Value): boolean {
  const sizes = [shape[2]!, shape[3]!];
  return sizes.every(
    (size, axis) =>
      kernel[axis] === 3 && strides[axis] === 2 && pads[axis] === size % 2 && pads[axis + 2] === 1 && size > 1,
  );
}

/**
 * A halving pooling as one along the columns and one along the rows; the result of the first is what the gradient needs
 * to find the maxima again.
 * @returns the name of the result of the first pooling.
 */
export function emitHalving(tools: BlockedTools, x: Value, y: Value): string {
  const { emit, forms } = tools;
  const source = planesOf(tools, x);
  const [rows, columns] = source.size;
  const narrow = emit.compute(
    `${y.name}/narrow`,
    "MaxPool",
    [source.name],
    window("columns", columns),
    domains.blocked,
  );
  const pooled = emit.compute(`${y.name}/planes`, "MaxPool", [narrow], window("rows", rows), domains.blocked);
  const [batch, channels, outRows, outColumns] = y.shape as Shape4;
  const shape = emit.integers([1, forms.lanes(channels), batch * outRows, outColumns]);
  emit.node("Reshape", [pooled, shape], [forms.define(y, "channelBlocks")]);
  return narrow;
}

/** The gradient of a halving pooling: first back along the rows, then along the columns. */
export function emitHalvingGradient(
  tools: BlockedTools,
  narrowName: string,
  [dy, x, y]: readonly [Value, Value, Value],
  dx: Value,
): void {
  const { emit, forms } = tools;
  const [source, result, gradient] = [planesOf(tools, x), planesOf(tools, y), planesOf(tools, dy)];
  const narrow = { name: narrowName, planes: source.planes, size: [source.size[0], result.size[1]] } as const;
  const dNarrow = emitSpread(tools, "rows", narrow, result.name, gradient.name, `${dx.name}/rows`);
  const spread = emitSpread(tools, "columns", source, narrowName, dNarrow, `${dx.name}/columns`);
  const [batch, channels, rows, columns] = dx.shape as Shape4;
  const shape = emit.integers([1, forms.lanes(channels), batch * rows, columns]);
  emit.node("Reshape", [spread, shape], [forms.define(dx, "channelBlocks")]);
}

/**
 * Gradient of a pooling of three along one axis: dy goes to the first of the three that equals the maximum. The
 * convolution with a kernel of a single −1 brings each candidate over its maximum; added to the maximum it gives 0 where
 * they are equal, which the steep ramp of a "hard sigmoid" turns into 1, and everything else into 0. What the first two
 * candidates do not take is left for the third.
 */
function emitSpread(tools: BlockedTools, axis: Axis, x: Planes, y: string, dy: string, hint: string): string {
  const { emit, conv } = tools;
  const size = x.size[axis === "rows" ? 0 : 1];
  const isOdd = size % 2 === 1;
  const group = { i: x.planes };
  const ramp = { activation: { s: "HardSigmoid" }, activation_params: { floats: [-1e30, 1] } };

  let rest = dy;
  const parts = [0, 1].map((tap) => {
    const maximum = tap === 0 && isOdd ? emitAboveBorder(tools, axis, x, y, hint) : y;
    const isMaximum = emit.unusedName(`${hint}/isMaximum`);
    const candidate = emitOneHot(tools, axis, x.planes, 3, tap, -1);
    conv([x.name, candidate, "", maximum], isMaximum, { ...window(axis, size), ...ramp, group });
    const part = emit.compute(`${hint}/part`, "Mul", [isMaximum, rest]);
    rest = emit.compute(`${hint}/rest`, "Sub", [rest, part]);
    return part;
  });
  const [first, second] = parts as [string, string];

  // Position p = 2q + tap − (1 if odd): two of the three taps fall on every second position, from neighboring windows.
  const [own, other, neighbor] = isOdd ? ([rest, first, 1] as const) : ([first, rest, 0] as const);
  const shift = emitOneHot(tools, axis, x.planes, 2, neighbor, 1);
  const shared = emit.unusedName(`${hint}/shared`);
  const [before, after] = neighbor === 1 ? [0, 1] : [1, 0];
  conv([other, shift, "", own], shared, { pads: padsAlong(axis, before, after), group });
  const interleaved = emitInterleaved(tools, axis, x, isOdd ? [second, shared] : [shared, second], hint);
  if (!isOdd) return interleaved;
  const cropped = emit.unusedName(`${hint}/cropped`);
  conv([interleaved, emitOneHot(tools, axis, x.planes, 2, 0, 1)], cropped, { group });
  return cropped;
}

/** Lifts the maxima whose first candidate lies in the padding, which reads as 0 here, so that none equals it. */
function emitAboveBorder({ emit, block }: BlockedTools, axis: Axis, x: Planes, y: string, hint: string): string {
  const [rows, columns] = x.size;
  const [outer, count, inner] =
    axis === "rows"
      ? [x.planes / block, Math.ceil(rows / 2), columns * block]
      : [(x.planes / block) * rows, Math.ceil(columns / 2), block];
  const penalty = new Float32Array(count * inner);
  penalty.fill(1e30, 0, inner);
  const border = emit.unusedName(`${hint}/border`);
  emit.floats(border, [count * inner], penalty);
  const lifted = emit.compute(`${hint}/lifted`, "Add", [emit.reshape(y, [outer, count * inner]), border]);
  const shape = axis === "rows" ? [1, x.planes, count, columns] : [1, x.planes, rows, count];
  return emit.reshape(lifted, shape);
}

/** Puts two sets of rows or columns between one another: a b a b … */
function emitInterleaved(
  { emit, block }: BlockedTools,
  axis: Axis,
  { planes, size: [rows, columns] }: Planes,
  pair: readonly [string, string],
  hint: string,
): string {
  const [count, inner, outer] =
    axis === "rows"
      ? [Math.ceil(rows / 2), columns * block, planes / block]
      : [Math.ceil(columns / 2), block, (planes / block) * rows];
  const views = pair.map((name) => emit.reshape(name, [outer * count, 1, inner]));
  const both = emit.compute(`${hint}/interleaved`, "Concat", views, { axis: { i: 1 } });
  return emit.reshape(both, axis === "rows" ? [1, planes, 2 * count, columns] : [1, planes, rows, 2 * count]);
}

/** A depthwise kernel along one axis that is 0 but for one position. */
function emitOneHot(
  { emit, block }: BlockedTools,
  axis: Axis,
  planes: number,
  length: number,
  position: number,
  value: number,
): string {
  const data = new Float32Array(planes * length);
  for (let group = 0; group < planes / block; group++) {
    const start = (group * length + position) * block;
    data.fill(value, start, start + block);
  }
  const name = emit.unusedName("oneHot");
  emit.floats(name, axis === "rows" ? [planes, 1, length, 1] : [planes, 1, 1, length], data);
  return name;
}

function planesOf({ emit, forms }: BlockedTools, value: Value): Planes {
  const [batch, channels, rows, columns] = value.shape as Shape4;
  const planes = batch * forms.lanes(channels);
  const name = emit.reshape(forms.get(value, "channelBlocks"), [1, planes, rows, columns]);
  return { name, planes, size: [rows, columns] };
}

function window(axis: Axis, size: number): Attributes {
  const isRows = axis === "rows";
  return {
    kernel_shape: { ints: isRows ? [3, 1] : [1, 3] },
    strides: { ints: isRows ? [2, 1] : [1, 2] },
    pads: padsAlong(axis, size % 2, 1),
  };
}

function padsAlong(axis: Axis, before: number, after: number): { readonly ints: readonly number[] } {
  return { ints: axis === "rows" ? [before, 0, after, 0] : [0, before, 0, after] };
}
