import type { Operation, OpOf, Value, Window } from "../../graph/ops.ts";
import { type BlockedRules, type BlockedTools, emitInsertZeros, fitsBlocks, type Shape4 } from "./blocked-tools.ts";
import { domains } from "./emitter.ts";
import { windowAttributes } from "./rules.ts";

/** Convolutions and their gradients on blocks. */
export const convolutionRules: BlockedRules = {
  conv: (tools, config, { inputs: [x, w, bias], outputs: [y] }) => {
    const { emit, forms, kernels } = tools;
    const [filters, channels, height, width] = w!.shape as Shape4;
    if (!fitsBlocks(filters) || !(fitsBlocks(x!.shape[1]!) || channels < tools.block)) return false;
    const kernel = tools.plain(w!);
    if (isDepthwise(config.groups, w!)) {
      const [batch] = x!.shape as Shape4;
      const group = { i: batch * forms.lanes(filters) };
      const blocks = kernels.depthwise(kernel, filters, [height, width], batch);
      const shifts = bias && kernels.depthwise(tools.plain(bias), filters, [1, 1], batch);
      const planes = tools.planes(x!);
      const output = emit.unusedName(`${y!.name}/planes`);
      tools.conv([planes, blocks, shifts ? emit.reshape(shifts, [group.i]) : ""], output, {
        ...windowAttributes(config),
        group,
      });
      tools.definePlanes(y!, output);
      return true;
    }
    if (config.groups !== 1) return false;
    const biasLanes = bias ? tools.vector(bias) : "";
    const blocks = kernels.dense(kernel, filters, channels, [height, width]);
    if (isPointwise(config, w!) && fitsBlocks(channels) && channels >= tools.block) {
      const source = emitKept(tools, x!, config.strides);
      tools.conv([source, blocks, biasLanes], forms.define(y!, "channelBlocks"), {});
      return true;
    }
    const source = forms.get(x!, channels < tools.block ? "plain" : "blocks");
    tools.conv([source, blocks, biasLanes], forms.define(y!, "blocks"), windowAttributes(config));
    return true;
  },

  convInputGradient: (tools, config, { inputs: [dy, w], outputs: [dx] }) => {
    const { emit, forms, kernels } = tools;
    const [filters, channels, height, width] = w!.shape as Shape4;
    if (!fitsBlocks(filters) || !fitsBlocks(config.inputShape[1]!)) return false;
    const kernel = tools.plain(w!);
    const isDense = config.strides.every((stride) => stride === 1);
    // With stride 1 the gradient is a convolution with the flipped kernel.
    const [top, left, bottom, right] = config.pads;
    const pads = { ints: [height - 1 - top, width - 1 - left, height - 1 - bottom, width - 1 - right] };
    if (pads.ints.some((size) => size < 0)) return false;

    if (isDepthwise(config.groups, w!) && isDense) {
      const [batch] = dy!.shape as Shape4;
      const blocks = kernels.depthwise(kernel, filters, [height, width], batch, "flipped");
      const output = emit.unusedName(`${dx!.name}/planes`);
      const group = { i: batch * forms.lanes(filters) };
      const padded = emitPaddedPlanes(tools, dy!);
      const planes = padded ?? tools.planes(dy!);
      tools.conv([planes, blocks], output, { pads: padded ? { ints: withoutColumns(pads.ints) } : pads, group });
      tools.definePlanes(dx!, output);
      return true;
    }
    if (config.groups !== 1) return false;
    if (isPointwise(config, w!)) {
      const blocks = kernels.denseTransposed(kernel, filters, channels, [1, 1], tools.factors.get(dy!.name));
      const source = forms.get(dy!, "channelBlocks");
      if (isDense && isWorthPadding(tools, dx!)) {
        const padded = emit.unusedName(`${dx!.name}~channelBlocks/padded`);
        tools.conv([source, blocks], padded, { pads: { ints: [0, 1, 0, 1] } });
        tools.padded.set(dx!.name, padded);
        return true;
      }
      if (isDense) {
        tools.conv([source, blocks], forms.define(dx!, "channelBlocks"), {});
        return true;
      }
      if (config.strides.some((stride) => stride !== 2)) return false;
      const small = emit.unusedName(`${dx!.name}/small`);
      tools.conv([source, blocks], small, {});
      emitInsertZeros(tools, small, dy!, dx!);
      return true;
    }
    if (!isDense) return false;
    const blocks = kernels.denseTransposed(kernel, filters, channels, [height, width]);
    const source = forms.get(dy!, filters < tools.block ? "plain" : "blocks");
    tools.conv([source, blocks], forms.define(dx!, "blocks"), { pads });
    return true;
  },

  convFilterGradient: (tools, config, { inputs: [x, dy], outputs: [dw] }) => {
    const { emit, forms, kernels, nameOf } = tools;
    const [filters] = dw!.shape as Shape4;
    const [batch, channels, rows, columns] = x!.shape as Shape4;
    const [, , outRows, outColumns] = dy!.shape as Shape4;
    if (!fitsBlocks(filters)) return false;

    if (isDepthwise(config.groups, dw!) && fitsBlocks(channels) && config.strides.every((stride) => stride === 1)) {
      const planes = batch * forms.lanes(channels);
      const image = tools.planes(x!);
      const padded = emitPaddedPlanes(tools, dy!);
      if (padded) {
        // The same sums with exchanged roles, x being the kernel, give the shifts in reverse order.
        const products = emit.unusedName(`${dw!.name}/products`);
        const attributes = { pads: { ints: withoutColumns(config.pads) }, group: { i: planes } };
        tools.conv([padded, emit.reshape(image, [planes, 1, rows, columns])], products, attributes);
        kernels.depthwiseBack(products, batch, dw!.shape, nameOf(dw!), "flipped");
        return true;
      }
      const kernel = emit.reshape(forms.get(dy!, "channelBlocks"), [planes, 1, outRows, outColumns]);
      const products = emit.unusedName(`${dw!.name}/products`);
      tools.conv([image, kernel], products, { pads: { ints: config.pads }, group: { i: planes } });
      kernels.depthwiseBack(products, batch, dw!.shape, nameOf(dw!));
      return true;
    }
    if (config.groups === 1 && isPointwise(config, dw!) && fitsBlocks(channels) && channels >= tools.block) {
      const product = emitPointwiseFilterGradient(tools, config, [x!, dy!, dw!]);
      const scaled = kernels.scaleRows(product, filters, tools.factors.get(dy!.name));
      emit.node("Reshape", [scaled, emit.integers(dw!.shape)], [nameOf(dw!)]);
      return true;
    }
    if (config.groups !== 1 || batch >= tools.block) return false;
    if (channels < tools.block) emitFewChannelsFilterGradient(tools, config, [x!, dy!, dw!]);
    else if (!fitsBlocks(channels)) return false;
    else emitWindowFilterGradient(tools, config, [x!, dy!, dw!]);
    return true;
  },
};

/** Returns whether an operator that reads a gradient applies its missing factors, as those of 1×1 convolutions do. */
export function takesFactor({ block }: BlockedTools, { config, inputs, outputs }: Operation): boolean {
  if (config.kind !== "convInputGradient" && config.kind !== "convFilterGradient") return false;
  const kernel = config.kind === "convInputGradient" ? inputs[1]! : outputs[0]!;
  const [filters, channels] = kernel.shape as Shape4;
  if (config.groups !== 1 || !isPointwise(config, kernel) || !fitsBlocks(filters) || !fitsBlocks(channels))
    return false;
  if (config.kind === "convFilterGradient") return channels >= block;
  return config.strides.every((stride) => stride === 1) || config.strides.every((stride) => stride === 2);
}

function isDepthwise(groups: number, kernel: Value): boolean {
  return groups > 1 && kernel.shape[0] === groups && kernel.shape[1] === 1 && fitsBlocks(groups);
}

function isPointwise({ pads }: Window, kernel: Value): boolean {
  return kernel.shape[2] === 1 && kernel.shape[3] === 1 && pads.every((size) => size === 0);
}

/**
 * Returns whether the gradient of a depthwise convolution's output should have a column of zeros on either side. Beyond the
 * image's edge the engine computes position by position; with the zeros, the kernel's gradient takes half the time. In
 * small images the additional columns cost more than that.
 */
function isWorthPadding(tools: BlockedTools, dy: Value): boolean {
  if (dy.shape[3]! < 64 || tools.isPublished(dy)) return false;
  return tools.readers(dy).every(({ config, inputs, outputs }) => {
    if (config.kind !== "convInputGradient" && config.kind !== "convFilterGradient") return false;
    const [image, kernel] = config.kind === "convInputGradient" ? [inputs[0]!, inputs[1]!] : [inputs[1]!, outputs[0]!];
    const isThree = kernel.shape[2] === 3 && kernel.shape[3] === 3;
    const isSame = config.pads.every((size) => size === 1) && config.strides.every((stride) => stride === 1);
    return image === dy && isThree && isSame && isDepthwise(config.groups, kernel);
  });
}

/** A gradient that has columns of zeros on either side, as planes; undefined if it has none. */
function emitPaddedPlanes({ emit, forms, padded }: BlockedTools, { name, shape }: Value): string | undefined {
  const [batch, channels, rows, columns] = shape as Shape4;
  const known = padded.get(name);
  return known && emit.reshape(known, [1, batch * forms.lanes(channels), rows, columns + 2]);
}

function withoutColumns(pads: readonly number[]): readonly number[] {
  return pads.map((size, index) => (index % 2 === 0 ? size : 0));
}

/** The pixels that a 1×1 window with these strides sees, in channel blocks: a max pooling over single pixels. */
function emitKept(tools: BlockedTools, x: Value, strides: readonly [number, number]): string {
  const { emit, forms } = tools;
  if (strides.every((stride) => stride === 1)) return forms.get(x, "channelBlocks");
  const [batch, channels, rows, columns] = x.shape as Shape4;
  const step = { kernel_shape: { ints: [1, 1] }, strides: { ints: strides } };
  const kept = emit.compute(`${x.name}/kept`, "MaxPool", [tools.planes(x)], step, domains.blocked);
  const size = [batch * Math.ceil(rows / strides[0]), Math.ceil(columns / strides[1])] as const;
  return emit.reshape(kept, [1, forms.lanes(channels), ...size]);
}

/** The same in the form `channels`. */
function emitKeptChannels(tools: BlockedTools, x: Value, strides: readonly [number, number]): string {
  if (strides.every((stride) => stride === 1)) return tools.forms.get(x, "channels");
  const crop = { channels: { i: x.shape[1]! } };
  const kept = emitKept(tools, x, strides);
  return tools.emit.compute(`${x.name}/keptChannels`, "ReorderOutput", [kept], crop, domains.blocked);
}

/** Up to this many channels, multiplying blocks is no slower than multiplying rows. */
const mostChannelsInBlocks = 256;

/**
 * dW = dY·Xᵀ of 1×1 kernels, `[K, C]`, as matrix multiplications over all positions of the batch. The blocks of a channel
 * group are b transposed rows already: with few channels one multiplication per group saves the change of layout, with
 * many it would read the gradient too often.
 */
function emitPointwiseFilterGradient(
  tools: BlockedTools,
  { strides }: OpOf<"convFilterGradient">,
  [x, dy, dw]: readonly [Value, Value, Value],
): string {
  const { emit, forms, block } = tools;
  const [filters, channels] = dw.shape as Shape4;
  const [batch, , rows, columns] = dy.shape as Shape4;
  const positions = batch * rows * columns;
  const gradient = emit.reshape(forms.get(dy, "channels"), [filters, positions]);
  if (channels % block === 0 && channels <= mostChannelsInBlocks) {
    const groups = emit.reshape(emitKept(tools, x, strides), [channels / block, positions, block]);
    const products = emit.compute(`${dw.name}/groups`, "MatMul", [gradient, groups]);
    const exchange = { perm: { ints: [1, 0, 2] } };
    return emit.reshape(emit.compute(`${dw.name}/product`, "Transpose", [products], exchange), [filters, channels]);
  }
  const images = emit.reshape(emitKeptChannels(tools, x, strides), [channels, positions]);
  const transposed = { transA: { i: 0 }, transB: { i: 1 } };
  return emit.compute(`${dw.name}/product`, "FusedMatMul", [gradient, images], transposed, domains.microsoft);
}

/**
 * The kernel's gradient of the first convolution, as one convolution with batch and channels exchanged: images
 * `[C, N, H, W]` with the gradient as a kernel `[K, N, H', W']`, dilated by the strides, give `[C, K, kh, kw]`.
 */
function emitFewChannelsFilterGradient(
  tools: BlockedTools,
  config: OpOf<"convFilterGradient">,
  [x, dy, dw]: readonly [Value, Value, Value],
): void {
  const { emit, forms, nameOf } = tools;
  const [filters, , height, width] = dw.shape as Shape4;
  const [batch, , outRows, outColumns] = dy.shape as Shape4;
  const exchange = { perm: { ints: [1, 0, 2, 3] } };
  const images = emit.compute(`${dw.name}/images`, "Transpose", [tools.plain(x)], exchange);
  const kernel = emit.reshape(forms.get(dy, "channelBlocks"), [forms.lanes(filters), batch, outRows, outColumns]);
  const products = emit.unusedName(`${dw.name}/products`);
  tools.conv([images, kernel], products, { pads: { ints: config.pads }, dilations: { ints: config.strides } });
  const crop = { channels: { i: filters } };
  const planes = emit.compute(`${dw.name}/planes`, "ReorderOutput", [products], crop, domains.blocked);
  // Rows and columns at the end that the forward window never reached do not belong to the kernel.
  const bounds = emit.bounds([0, 0], [height, width], [2, 3]);
  const reached = emit.compute(`${dw.name}/reached`, "Slice", [planes, ...bounds]);
  emit.node("Transpose", [reached], [nameOf(dw)], exchange);
}

/**
 * The gradient of a kernel larger than a pixel as one convolution of both operands in blocks. The engine reads fewer
 * channels than a block as planes `[N, C, H, W]`; so the images of a channel group become planes whose rows hold b channels
 * of each pixel, and the gradient a kernel that reads every b-th number of a row:
 * `[C'/b, N, H, W·b]` under `[K', N, H', W']` gives `[C'/b, K', kh, kw·b]`, which is `[C'/b][K'/b][kh][kw][b of C][b of K]`.
 */
function emitWindowFilterGradient(
  tools: BlockedTools,
  { strides, pads }: OpOf<"convFilterGradient">,
  [x, dy, dw]: readonly [Value, Value, Value],
): void {
  const { emit, forms, block, nameOf } = tools;
  const [filters, channels, height, width] = dw.shape as Shape4;
  const [batch, , rows, columns] = x.shape as Shape4;
  const [, , outRows, outColumns] = dy.shape as Shape4;
  const groups = forms.lanes(channels) / block;
  const [top, left, bottom, right] = pads;
  // With a stride, more shifts fit between image and gradient than the kernel has rows and columns.
  const shiftedRows = top + rows + bottom - strides[0] * (outRows - 1);
  const shiftedColumns = left + columns + right - strides[1] * (outColumns - 1);

  const images = emit.reshape(forms.get(x, "channelBlocks"), [groups, batch, rows, columns * block]);
  const kernel = emit.reshape(forms.get(dy, "channelBlocks"), [forms.lanes(filters), batch, outRows, outColumns]);
  const products = emit.unusedName(`${dw.name}/products`);
  tools.conv([images, kernel], products, {
    pads: { ints: [top, left * block, bottom, right * block] },
    dilations: { ints: [strides[0], strides[1] * block] },
  });
  const crop = { channels: { i: filters } };
  const planes = emit.compute(`${dw.name}/planes`, "ReorderOutput", [products], crop, domains.blocked);
  const view = emit.reshape(planes, [groups, filters, shiftedRows, shiftedColumns, block]);
  const exchange = { perm: { ints: [1, 0, 4, 2, 3] } };
  const swapped = emit.compute(`${dw.name}/swapped`, "Transpose", [view], exchange);
  const whole = emit.reshape(swapped, [filters, groups * block, shiftedRows, shiftedColumns]);
  emit.node("Slice", [whole, ...emit.bounds([0, 0, 0], [channels, height, width], [1, 2, 3])], [nameOf(dw)]);
}
