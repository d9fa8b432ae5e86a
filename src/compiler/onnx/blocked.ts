import type { ByteScale, Operation, OpKind, OpOf, Value } from "../../graph/ops.ts";
import { sameShape, sizeOf } from "../../tensor/shape.ts";
import { convolutionRules } from "./blocked-conv.ts";
import { normalizationRules } from "./blocked-norm.ts";
import { poolingRules } from "./blocked-pool.ts";
import {
  type BlockedRule,
  type BlockedRules,
  type BlockedTools,
  emitSumWithZeros,
  fitsBlocks,
  type Shape4,
} from "./blocked-tools.ts";
import { domains, encodeOnnx, OnnxEmitter } from "./emitter.ts";
import type { BlockOrder } from "./forms.ts";
import { emitDistance } from "./rounding.ts";
import { emitRules } from "./rules.ts";

/**
 * Writes an operator on blocks of channels that fit one vector register: the layout in which the engine's CPU kernels for
 * convolution are fastest. Returns false if it has to be written channels first.
 *
 * The engine chooses this layout itself only for constant weights, which a training step does not have; so the graph asks
 * for it. From the first separable convolution on, the blocks of a channel group are contiguous for the whole batch
 * (`channelBlocks`), so that a 1×1 convolution and the gradient of its kernel are one matrix multiplication each, without a
 * sum over the batch.
 *
 * Three uses of the blocked convolution go beyond its name:
 * - with a 1×1 depthwise kernel it is `scale·x + shift (+ sum)`, one pass over memory for a batch normalization;
 * - with the gradient in the place of the kernel, an image-sized depthwise kernel, it is the gradient of a depthwise
 *   kernel (`dw[i, j] = Σ x[r+i, c+j]·dy[r, c]`), because both tensors have the layout of blocked depthwise kernels;
 * - the same without padding is the scalar product Σ x·y for each channel, which batch statistics need.
 */
export function emitBlocked(tools: BlockedTools, operation: Operation): boolean {
  if (tools.absorbed.has(operation)) return true;
  const rule = rules[operation.config.kind] as BlockedRule<OpKind> | undefined;
  return rule?.(tools, operation.config, operation) ?? false;
}

const rules: BlockedRules = {
  ...convolutionRules,
  ...normalizationRules,
  ...poolingRules,
  relu: elementwise,
  reluGradient,
  elu: elementwise,
  eluGradient: elementwise,
  add: (tools, config, operation) => emitSumWithZeros(tools, operation) || elementwise(tools, config, operation),
  leakyRelu: elementwise,
  leakyReluGradient: elementwise,
  fakeQuantize: rounded,
  fakeQuantizeGradient: unclipped,
  slice: part,
  concatenate: together,
  pad: padded,
};

/** A view of a value in blocks in which one axis of the feature map is cut or lengthened in whole units. */
function viewAlong({ emit, forms, block }: BlockedTools, value: Value, axis: number, order: BlockOrder) {
  const [batch, channels, height, width] = value.shape as Shape4;
  const groups = forms.lanes(channels) / block;
  const outer = order === "blocks" ? [batch, groups] : [groups, batch];
  const place = order === "channelBlocks" && axis < 2 ? 1 - axis : axis;
  const sizes = [...outer, height, width * block];
  const inside = axis === 3 ? [] : [sizeOf(sizes.slice(place + 1))];
  return {
    view: emit.reshape(forms.get(value, order), [...sizes.slice(0, place + 1), ...inside]),
    place,
    /** From a number of images, channels, rows or columns to one of units. */
    units: (count: number) => (axis === 1 ? Math.ceil(count / block) : axis === 3 ? count * block : count),
  };
}

/** Some images, channels, rows or columns of a batch; of the channels, whole blocks. */
function part(tools: BlockedTools, { axis, start, end }: OpOf<"slice">, { inputs, outputs }: Operation): boolean {
  const { emit, forms, block } = tools;
  const [[x], [y]] = [inputs, outputs] as unknown as [[Value], [Value]];
  const isWhole = axis !== 1 || (start % block === 0 && (end % block === 0 || end === x.shape[1]));
  if (!forms.isBlocked(x) || !isWhole) return false;
  const order = forms.blockOrder(x);
  const { view, place, units } = viewAlong(tools, x, axis, order);
  const bounds = emit.bounds([units(start)], [units(end)], [place]);
  tools.definePlanes(y, emit.compute(`${y.name}/part`, "Slice", [view, ...bounds]), order);
  return true;
}

/** Batches, channels, rows or columns joined; of channels, whole blocks but for the last value's. */
function together(tools: BlockedTools, { axis }: OpOf<"concatenate">, { inputs, outputs }: Operation): boolean {
  const { emit, forms, block } = tools;
  const [y] = outputs as [Value];
  const areWhole = axis !== 1 || inputs.slice(0, -1).every(({ shape }) => shape[1]! % block === 0);
  const areBlocked =
    axis === 0 ? inputs.every((value) => forms.isBlocked(value)) : inputs.some((value) => forms.isBlocked(value));
  if (!areBlocked || !areWhole || !inputs.every(({ shape }) => fitsBlocks(shape[1]!))) return false;
  const views = inputs.map((value) => viewAlong(tools, value, axis, "channelBlocks"));
  const operands = views.map(({ view }) => view);
  const whole = emit.compute(`${y.name}/together`, "Concat", operands, { axis: { i: views[0]!.place } });
  tools.definePlanes(y, whole, "channelBlocks");
  return true;
}

/** Zeros around each image. */
function padded(tools: BlockedTools, { pads }: OpOf<"pad">, { inputs, outputs }: Operation): boolean {
  const { emit, forms, block } = tools;
  const [[x], [y]] = [inputs, outputs] as unknown as [[Value], [Value]];
  if (!forms.isBlocked(x)) return false;
  const order = forms.blockOrder(x);
  const [top, left, bottom, right] = pads;
  const { view } = viewAlong(tools, x, 3, order);
  const amounts = emit.integers([0, 0, top, left * block, 0, 0, bottom, right * block]);
  tools.definePlanes(y, emit.compute(`${y.name}/padded`, "Pad", [view, amounts]), order);
  return true;
}

/** Applies the plain rule of an elementwise operator to blocks, if an input exists in blocks. */
function elementwise(tools: BlockedTools, _: unknown, { config, inputs, outputs }: Operation): boolean {
  const form = commonBlocks(tools, inputs);
  if (!form) return false;
  const { emit, forms } = tools;
  const x = inputs.map((value) => forms.get(value, form));
  const rule = emitRules[config.kind] as (context: object) => void;
  rule({ emit, config, inputs, outputs, x, y: [forms.define(outputs[0]!, form)] });
  return true;
}

/**
 * dy·(y > 0). The comparison is a steep "hard sigmoid", which the engine vectorizes and, as the last reader of y, computes
 * in place.
 */
function reluGradient(tools: BlockedTools, _: unknown, { inputs, outputs }: Operation): boolean {
  const form = commonBlocks(tools, inputs);
  if (!form) return false;
  const { emit, forms } = tools;
  const [dy, y] = inputs as [Value, Value];
  const dx = forms.define(outputs[0]!, form);
  const step = { alpha: { f: 1e30 }, beta: { f: 0 } };
  const isPositive = emit.compute(`${dx}/isPositive`, "HardSigmoid", [forms.get(y, form)], step);
  emit.node("Mul", [forms.get(dy, form), isPositive], [dx]);
  return true;
}

/**
 * Rounding to bytes and back. Numbers around 1.5·2²³ have no fraction, so adding it rounds, half to even as the engine's integer
 * kernels do; the engine's own `Round` is not vectorized.
 */
function rounded(tools: BlockedTools, { scale, zeroPoint }: ByteScale, { inputs, outputs }: Operation): boolean {
  const form = commonBlocks(tools, inputs);
  if (!form) return false;
  const { emit, forms } = tools;
  const whole = 1.5 * 2 ** 23;
  const y = forms.define(outputs[0]!, form);
  const compute = emit.steps(y);
  const steps = compute("steps", "Div", forms.get(inputs[0]!, form), emit.scalar(scale));
  const limits = [-zeroPoint, 255 - zeroPoint].map((limit) => emit.scalar(whole + limit));
  const kept = compute("kept", "Clip", compute("whole", "Add", steps, emit.scalar(whole)), ...limits);
  emit.node("Mul", [compute("byte", "Sub", kept, emit.scalar(whole)), emit.scalar(scale)], [y]);
  return true;
}

/** dy where x is not clipped; the comparison as in {@link reluGradient}. */
function unclipped(tools: BlockedTools, config: ByteScale, { inputs, outputs }: Operation): boolean {
  const form = commonBlocks(tools, inputs);
  if (!form) return false;
  const { emit, forms } = tools;
  const [dy, x] = inputs as [Value, Value];
  const dx = forms.define(outputs[0]!, form);
  const distance = emitDistance(emit, config, forms.get(x, form), dx);
  const steepness = 2 ** 20;
  const step = { alpha: { f: -steepness / config.scale }, beta: { f: 128 * steepness } };
  const isInside = emit.compute(`${dx}/isInside`, "HardSigmoid", [distance], step);
  emit.node("Mul", [forms.get(dy, form), isInside], [dx]);
  return true;
}

/** The order of blocks in which operands of equal shape should meet; undefined if none is in blocks. */
function commonBlocks({ forms }: BlockedTools, inputs: readonly Value[]): BlockOrder | undefined {
  const [first] = inputs as [Value];
  const isPossible = inputs.every(({ shape }) => sameShape(shape, first.shape)) && first.shape.length === 4;
  if (!isPossible || !inputs.some((value) => forms.isBlocked(value))) return undefined;
  return inputs.some((value) => forms.blockOrder(value) === "channelBlocks") ? "channelBlocks" : "blocks";
}

/** Channels and pixels of the probe's image: more channels than any engine's block. */
const shape = [1, 64, 1, 2] as const;

/**
 * A model that brings an image into the engine's blocked layout. The order of the pixels reveals the engine's block
 * size, which no interface reports; an engine without such a layout rejects the model.
 */
export function blockProbe(): { readonly model: Uint8Array; readonly input: Float32Array } {
  const emit = new OnnxEmitter();
  emit.node("ReorderInput", ["image"], ["blocks"], {}, domains.blocked);
  const value = (name: string) => ({ name, type: "float32", shape }) as const;
  const model = encodeOnnx(emit, { name: "probe", inputs: [value("image")], outputs: [value("blocks")] });
  return { model, input: Float32Array.from({ length: 128 }, (_, index) => index) };
}

/** Block size from the probe's output: the second pixel of channel 0 follows a whole block of first pixels. */
export function readBlockSize(output: Float32Array): number {
  return output.indexOf(1);
}
