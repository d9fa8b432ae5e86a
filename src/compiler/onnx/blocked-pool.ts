import { sameShape, sizeOf } from "../../tensor/shape.ts";
import { emitHalving, emitHalvingGradient, isHalving } from "./blocked-max-pool.ts";
import type { BlockedRules } from "./blocked-tools.ts";
import { domains } from "./emitter.ts";
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
