import type { OpOf, Value } from "../../graph/ops.ts";
import { sameShape, sizeOf } from "../../tensor/shape.ts";
import type { BlockedRules, BlockedTools, Shape4 } from "./blocked-tools.ts";
import { type Attributes, domains } from "./emitter.ts";
import { poolAttributes } from "./rules.ts";

/** Poolings and their gradients for values that exist in blocks. */
export const poolingRules: BlockedRules = {
  maxPool: (tools, config, { inputs: [x], outputs: [y] }) => {
    const { emit, forms, maxima } = tools;
    if (!forms.isBlocked(x!)) return false;
    const isDifferentiated = tools.readers(y!).some(({ config: { kind } }) => kind === "maxPoolGradient");
    if (!isDifferentiated) {
      emitPooled(tools, "MaxPool", x!, y!, poolAttributes(config));
      return true;
    }
    if (isHalving(config, x!)) {
      maxima.set(y!.name, emitHalving(tools, x!, y!));
      return true;
    }
    // The blocked operator does not return the positions of the maxima.
    const [batch, channels, rows, columns] = x!.shape as Shape4;
    const [, , outRows, outColumns] = y!.shape as Shape4;
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
    const scatter = { axis: { i: 0 }, reduction: { s: "add" } };
    const sums = emit.compute(`${dx!.name}/flat`, "ScatterElements", operands, scatter);
    const shape = emit.integers([1, channels, batch * rows, columns]);
    emit.node("Reshape", [sums, shape], [forms.define(dx!, "channels")]);
    return true;
  },

  averagePool: (tools, config, { inputs: [x], outputs: [y] }) => {
    if (!tools.forms.isBlocked(x!)) return false;
    emitPooled(tools, "AveragePool", x!, y!, poolAttributes(config));
    return true;
  },

  reduceMean: (tools, { axes, keepDims }, { inputs: [x], outputs: [y] }) => {
    const { emit, forms, block, nameOf } = tools;
    if (keepDims || !sameShape(axes, [2, 3]) || !forms.isBlocked(x!)) return false;
    const [batch, channels] = x!.shape as Shape4;
    const lanes = forms.lanes(channels);
    const order = forms.blockOrder(x!);
    const planes = tools.planes(x!, order);
    let means = emit.compute(`${y!.name}/planes`, "GlobalAveragePool", [planes], {}, domains.blocked);
    if (order === "channelBlocks") {
      const view = emit.reshape(means, [lanes / block, batch, block]);
      means = emit.compute(`${y!.name}/swapped`, "Transpose", [view], { perm: { ints: [1, 0, 2] } });
    }
    const bounds = emit.bounds([0], [channels], [1]);
    emit.node("Slice", [emit.reshape(means, [batch, lanes]), ...bounds], [nameOf(y!)]);
    return true;
  },
};

function emitPooled(tools: BlockedTools, operator: string, x: Value, y: Value, attributes: Attributes): void {
  const order = tools.forms.blockOrder(x);
  const planes = [tools.planes(x, order)];
  const pooled = tools.emit.compute(`${y.name}/planes`, operator, planes, attributes, domains.blocked);
  tools.definePlanes(y, pooled, order);
}

type Axis = "rows" | "columns";

/** Image planes in channel blocks; the engine reads them as `[1, planes, rows, columns]`. */
interface Planes {
  readonly name: string;
  readonly planes: number;
  readonly size: readonly [rows: number, columns: number];
}

/** Returns whether a pooling is Xception's: 3×3, every second position, padded to ceil(size / 2). */
function isHalving({ kernel, strides, pads }: OpOf<"maxPool" | "maxPoolGradient">, { shape }: Value): boolean {
  return shape
    .slice(2)
    .every(
      (size, axis) =>
        kernel[axis] === 3 && strides[axis] === 2 && pads[axis] === size % 2 && pads[axis + 2] === 1 && size > 1,
    );
}

/**
 * A halving pooling as one along the columns and one along the rows; its gradient finds the maxima again from the result of
 * the first.
 * @returns the name of that result.
 */
function emitHalving(tools: BlockedTools, x: Value, y: Value): string {
  const source = planesOf(tools, x);
  const [rows, columns] = source.size;
  const pool = (hint: string, name: string, attributes: Attributes) =>
    tools.emit.compute(`${y.name}/${hint}`, "MaxPool", [name], attributes, domains.blocked);
  const narrow = pool("narrow", source.name, window("columns", columns));
  tools.definePlanes(y, pool("planes", narrow, window("rows", rows)));
  return narrow;
}

/** The gradient of a halving pooling: first back along the rows, then along the columns. */
function emitHalvingGradient(
  tools: BlockedTools,
  narrowName: string,
  [dy, x, y]: readonly [Value, Value, Value],
  dx: Value,
): void {
  const [source, result, gradient] = [planesOf(tools, x), planesOf(tools, y), planesOf(tools, dy)];
  const narrow = { name: narrowName, planes: source.planes, size: [source.size[0], result.size[1]] } as const;
  const dNarrow = emitSpread(tools, "rows", narrow, result.name, gradient.name, `${dx.name}/rows`);
  tools.definePlanes(dx, emitSpread(tools, "columns", source, narrowName, dNarrow, `${dx.name}/columns`));
}

/**
 * Gradient of a pooling of three along one axis: dy goes to the first of the three that equals the maximum. A convolution
 * with a single −1 moves each candidate to its maximum; their sum is 0 where they are equal, which the steep ramp of a
 * "hard sigmoid" turns into 1, and everything else into 0. The third candidate gets the rest.
 */
function emitSpread(tools: BlockedTools, axis: Axis, x: Planes, y: string, dy: string, hint: string): string {
  const { emit } = tools;
  const size = x.size[axis === "rows" ? 0 : 1];
  const isOdd = size % 2 === 1;
  const group = { i: x.planes };
  const ramp = { activation: { s: "HardSigmoid" }, activation_params: { floats: [-1e30, 1] } };

  let rest = dy;
  const parts = [0, 1].map((tap) => {
    const maximum = tap === 0 && isOdd ? emitAboveBorder(tools, axis, x, y, hint) : y;
    const isMaximum = emit.unusedName(`${hint}/isMaximum`);
    const candidate = emitOneHot(tools, axis, x.planes, 3, tap, -1);
    tools.conv([x.name, candidate, "", maximum], isMaximum, { ...window(axis, size), ...ramp, group });
    const part = emit.compute(`${hint}/part`, "Mul", [isMaximum, rest]);
    rest = emit.compute(`${hint}/rest`, "Sub", [rest, part]);
    return part;
  });
  const [first, second] = parts as [string, string];

  // Position p = 2q + tap − (1 if odd): every second position gets two of the three taps, from neighboring windows.
  const [own, other, neighbor] = isOdd ? ([rest, first, 1] as const) : ([first, rest, 0] as const);
  const shift = emitOneHot(tools, axis, x.planes, 2, neighbor, 1);
  const shared = emit.unusedName(`${hint}/shared`);
  const [before, after] = neighbor === 1 ? [0, 1] : [1, 0];
  tools.conv([other, shift, "", own], shared, { pads: padsAlong(axis, before, after), group });
  const interleaved = emitInterleaved(tools, axis, x, isOdd ? [second, shared] : [shared, second], hint);
  if (!isOdd) return interleaved;
  const cropped = emit.unusedName(`${hint}/cropped`);
  tools.conv([interleaved, emitOneHot(tools, axis, x.planes, 2, 0, 1)], cropped, { group });
  return cropped;
}

/** Lifts the maxima whose first candidate lies in the padding, which reads as 0 here, so that none equals it. */
function emitAboveBorder(tools: BlockedTools, axis: Axis, x: Planes, y: string, hint: string): string {
  const { emit } = tools;
  const { outer, count, inner, shape } = halves(tools, axis, x);
  const penalty = new Float32Array(count * inner);
  penalty.fill(1e30, 0, inner);
  const border = emit.unusedName(`${hint}/border`);
  emit.floats(border, [count * inner], penalty);
  const lifted = emit.compute(`${hint}/lifted`, "Add", [emit.reshape(y, [outer, count * inner]), border]);
  return emit.reshape(lifted, shape(count));
}

/** Interleaves two sets of rows or columns: a b a b … */
function emitInterleaved(tools: BlockedTools, axis: Axis, x: Planes, pair: readonly [string, string], hint: string) {
  const { emit } = tools;
  const { outer, count, inner, shape } = halves(tools, axis, x);
  const views = pair.map((name) => emit.reshape(name, [outer * count, 1, inner]));
  const both = emit.compute(`${hint}/interleaved`, "Concat", views, { axis: { i: 1 } });
  return emit.reshape(both, shape(2 * count));
}

/** The memory layout of planes halved along an axis, and the shape of planes with another size along it. */
function halves({ block }: BlockedTools, axis: Axis, { planes, size: [rows, columns] }: Planes) {
  const groups = planes / block;
  return axis === "rows"
    ? {
        outer: groups,
        count: Math.ceil(rows / 2),
        inner: columns * block,
        shape: (size: number) => [1, planes, size, columns],
      }
    : {
        outer: groups * rows,
        count: Math.ceil(columns / 2),
        inner: block,
        shape: (size: number) => [1, planes, rows, size],
      };
}

/** A depthwise kernel along one axis with a single nonzero position. */
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

function planesOf(tools: BlockedTools, value: Value): Planes {
  const [batch, channels, rows, columns] = value.shape as Shape4;
  return { name: tools.planes(value), planes: batch * tools.forms.lanes(channels), size: [rows, columns] };
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
