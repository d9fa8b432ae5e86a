import { GraphError } from "../../base/errors.ts";
import {
  type OpConfig,
  type Operation,
  type OpGraph,
  type OpKind,
  type OpOf,
  readersOf,
  type Value,
} from "../../graph/ops.ts";
import type { StoredType } from "../../graph/weights.ts";
import { type Shape, sizeOf } from "../../tensor/shape.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { type FoldedGraph, foldBatchNorm } from "../fold-batch-norm.ts";
import { type OpenTensor, type Place, ProgramEmitter } from "./emitter.ts";
import {
  type ConvStep,
  canJoin,
  convWindow,
  emitFused,
  type FusedStep,
  isPointwise,
  type Stored,
  type Target,
  type WindowGeometry,
  windowArgs,
} from "./fused-steps.ts";
import { concatenationTargets, noKernel, storedAxis, storedShape } from "./layout.ts";
import { isDepthwise, splitGroups } from "./split-groups.ts";
import { packDepthwise, packKernel, packMatrix, panelWidth } from "./weights.ts";

/** Options of {@link toProgram}. */
export interface WasmProgramOptions {
  readonly name?: string | undefined;
  /** Storage type of kernels; the engine computes in float32. Default `float32`. */
  readonly storedAs?: StoredType | undefined;
}

/**
 * Translates the inference graph of a network, folded, to the steps of the WebAssembly engine. A step computes a layer with all
 * that belongs to it: its bias, the residual that is added, the activations before and after it, and the depthwise convolution
 * that only this pointwise one reads.
 * @param weights of all parameters, in the engine's layout.
 * @throws {GraphError} the engine has no kernel for an operator.
 */
export function toProgram(
  graph: OpGraph,
  weights: ReadonlyMap<string, FloatTensor>,
  options: WasmProgramOptions,
): Uint8Array {
  return new ProgramCompiler(splitGroups(foldBatchNorm(graph, weights)), options).compile();
}

type Rule<C extends OpConfig> = (config: C, inputs: readonly Value[], output: Value, operation: Operation) => void;

class ProgramCompiler {
  readonly #graph: OpGraph;
  readonly #fixed = new Map<string, FloatTensor | { readonly shape: Shape; readonly data: Float32Array }>();
  readonly #emit: ProgramEmitter;
  readonly #name: string;
  readonly #readers: ReadonlyMap<string, readonly Operation[]>;
  readonly #published: ReadonlySet<string>;
  readonly #stored = new Map<string, Stored>();
  /** Steps that are not written yet: the only operator that reads their result joins them. */
  readonly #pending = new Map<string, FusedStep>();
  /** Results of ReLU that the convolutions which read them compute themselves, and their inputs. */
  readonly #rectified = new Map<string, Value>();
  /** Parts of concatenated images that are computed in place. */
  readonly #targets: ReadonlyMap<string, Target>;

  constructor({ graph, weights }: FoldedGraph, { name = "", storedAs }: WasmProgramOptions) {
    this.#graph = graph;
    for (const constant of graph.constants) this.#fixed.set(constant.name, constant);
    for (const { name } of graph.parameters) if (weights.has(name)) this.#fixed.set(name, weights.get(name)!);
    this.#emit = new ProgramEmitter(storedAs ?? "float32");
    this.#name = name;
    this.#readers = readersOf(graph);
    this.#published = new Set([...graph.outputs.values()].map((value) => value.name));
    this.#targets = concatenationTargets(graph, this.#readers, this.#published);
  }

  compile(): Uint8Array {
    const [input, ...others] = this.#graph.inputs;
    const fed = this.#graph.parameters.find(({ name }) => !this.#fixed.has(name));
    if (input === undefined || others.length > 0 || fed !== undefined) {
      throw new GraphError({
        where: `program "${this.#name}"`,
        what: "it has one input, and all its weights",
        received: [...this.#graph.inputs, ...(fed ? [fed] : [])].map(({ name }) => name).join(", "),
      });
    }
    const shape = input.shape.slice(1);
    const isBytes = input.type === "uint8";
    const place = { buffer: this.#emit.buffer(sizeOf(shape), isBytes ? 1 : 4), offset: 0 };
    this.#stored.set(input.name, { place, shape, isImage: false, isBytes });
    for (const operation of this.#graph.operations) {
      const { config, inputs, outputs } = operation;
      const rule = this.#rules[config.kind] as Rule<OpConfig> | undefined;
      if (rule === undefined) throw noKernel(operation);
      rule(config, inputs, outputs[0]!, operation);
    }
    const outputs = [...this.#graph.outputs].map(([name, value]): OpenTensor => {
      return { name, type: value.type, shape: [1, ...value.shape.slice(1)], place: this.#value(value).place };
    });
    return this.#emit.finish(this.#name, { name: input.name, type: input.type, shape: [1, ...shape], place }, outputs);
  }

  readonly #rules: { readonly [K in OpKind]?: Rule<OpOf<K>> } = {
    conv: (config, [x, kernel, bias], output, operation) => {
      const weights = this.#fixed.get(kernel!.name) as FloatTensor | undefined;
      const biases = bias && this.#fixed.get(bias.name)?.data;
      const channels = x!.shape[1]!;
      const isSeparate = isDepthwise(operation);
      if (weights === undefined || (config.groups > 1 && !isSeparate)) throw noKernel(operation);
      const window = convWindow(config, kernel!);
      const pending = this.#pending.get(x!.name);
      if (pending?.kind === "depthwise" && isPointwise(operation)) {
        this.#pending.delete(x!.name);
        const parts = { ...window, x: pending.x, isInputRelu: false, depthwise: pending };
        this.#define(output, this.#conv(weights, parts, biases));
        return;
      }
      const source = this.#rectified.get(x!.name);
      const input = { x: this.#value(source ?? x!), isInputRelu: source !== undefined };
      if (isSeparate) {
        const packed = {
          weights: this.#emit.kernel(packDepthwise(weights)),
          bias: biases ?? new Float32Array(channels),
        };
        this.#define(output, { kind: "depthwise", ...window, ...input, ...packed, isRelu: false });
      } else {
        this.#define(output, this.#conv(weights, { ...window, ...input, depthwise: undefined }, biases));
      }
    },
    matMul: ({ transposeA, transposeB }, [x, matrix], output, operation) => {
      const weights = this.#fixed.get(matrix!.name) as FloatTensor | undefined;
      if (weights === undefined || transposeA || x!.shape.length !== 2) throw noKernel(operation);
      const filters = output.shape[1]!;
      const panel = panelWidth * x!.shape[1]!;
      this.#define(output, {
        kind: "conv",
        ...{ kernel: [1, 1], strides: [1, 1], pads: [0, 0, 0, 0] },
        x: this.#value(x!),
        weights: this.#emit.kernel(packMatrix(weights, transposeB), panel),
        ...{ filters, bias: undefined, residual: undefined, depthwise: undefined },
        ...{ isInputRelu: false, isRelu: false },
      });
    },
    batchNormalization: ({ epsilon }, [x, ...affine], output, operation) => {
      const numbers = affine.map(({ name }) => this.#fixed.get(name)?.data);
      if (numbers.includes(undefined)) throw noKernel(operation);
      const [gamma, beta, mean, variance] = numbers as Float32Array[];
      const scale = Float64Array.from(gamma!, (each, channel) => each / Math.sqrt(variance![channel]! + epsilon));
      const shift = beta!.map((each, channel) => each - mean![channel]! * scale[channel]!);
      this.#affine(x!, output, { scale: Float32Array.from(scale), shift });
    },
    add: (_, operands, output, operation) => {
      const [fixed, x] = this.#fixedOperand(operands);
      if (fixed !== undefined) {
        const shift = this.#perChannel(fixed, x!, operation);
        const pending = this.#take(x!);
        if (pending?.kind === "conv") this.#define(output, { ...pending, bias: shift });
        else if (pending?.kind === "affine") this.#define(output, { ...pending, shift });
        else this.#affine(x!, output, { shift });
        return;
      }
      const [a, b] = operands as [Value, Value];
      if (sizeOf(a.shape) !== sizeOf(b.shape)) throw noKernel(operation);
      const [open, other] = this.#pending.get(a.name)?.kind === "conv" ? [a, b] : [b, a];
      const pending = this.#pending.get(open.name);
      if (pending?.kind === "conv") {
        const residual = this.#value(other);
        this.#pending.delete(open.name);
        this.#define(output, { ...pending, residual });
      } else {
        this.#define(output, { kind: "add", x: this.#value(a), y: this.#value(b), isRelu: false });
      }
    },
    multiply: (_, operands, output, operation) => {
      const [fixed, x] = this.#fixedOperand(operands);
      if (fixed === undefined) throw noKernel(operation);
      const scale = this.#perChannel(fixed, x!, operation);
      const pending = this.#take(x!);
      if (pending?.kind === "affine") this.#define(output, { ...pending, scale });
      else this.#affine(x!, output, { scale });
    },
    cast: (_, [x], output, operation) => {
      const from = this.#value(x!);
      if (from.isBytes !== true || output.type !== "float32") throw noKernel(operation);
      this.#affine(x!, output, {});
    },
    relu: (_, [x], output) => {
      const pending = this.#take(x!);
      if (pending) {
        this.#define(output, { ...pending, isRelu: true });
        return;
      }
      const readers = this.#readers.get(output.name) ?? [];
      const isRead = readers.length > 0 && readers.every(({ config }) => config.kind === "conv");
      if (isRead && !this.#published.has(output.name)) this.#rectified.set(output.name, x!);
      else this.#elementwise("relu", x!, output);
    },
    elu: ({ kind }, [x], output) => this.#elementwise(kind, x!, output),
    sigmoid: ({ kind }, [x], output) => this.#elementwise(kind, x!, output),
    leakyRelu: ({ kind, slope }, [x], output) => this.#elementwise(kind, x!, output, slope),
    softmax: ({ kind }, [x], output, operation) => {
      const from = this.#value(x!);
      // Along the last axis, which is not that of channels-last images.
      if (from.isImage) throw noKernel(operation);
      const size = from.shape.at(-1)!;
      const to = this.#store(output, from.shape, from.isImage);
      this.#emit.step({
        name: output.name,
        kernel: kind,
        args: [from.place, to, size],
        units: sizeOf(from.shape) / size,
      });
    },
    maxPool: (config, [x], output) => this.#pool(x!, output, config, true),
    averagePool: (config, [x], output) => this.#pool(x!, output, config, false),
    reduceMean: ({ axes, keepDims }, [x], output, operation) => {
      const from = this.#value(x!);
      if (!from.isImage || keepDims || axes.join() !== "2,3") throw noKernel(operation);
      const [height, width] = from.shape as [number, number];
      this.#pool(x!, output, { kernel: [height, width], strides: [1, 1], pads: [0, 0, 0, 0] }, false);
    },
    reduceSum: ({ axes, keepDims }, [x], output, operation) => {
      const from = this.#value(x!);
      if (!from.isImage || !keepDims || axes.join() !== "1") throw noKernel(operation);
      const [height, width, channels] = from.shape as [number, number, number];
      const to = this.#store(output, [height, width, 1], true);
      this.#emit.step({
        name: output.name,
        kernel: "sumChannels",
        args: [from.place, channels, to],
        units: height * width,
      });
    },
    pad: ({ pads: [top, left, bottom, right] }, [x], output) => {
      const from = this.#value(x!);
      const [height, width, channels] = from.shape as [number, number, number];
      const [outHeight, outWidth] = [top + height + bottom, left + width + right];
      const to = this.#store(output, [outHeight, outWidth, channels], true);
      const args = [from.place, height, width, channels, to, outWidth, top, left];
      this.#emit.step({ name: output.name, kernel: "pad", args, units: outHeight });
    },
    concatenate: ({ axis }, inputs, output) => {
      const { isImage } = this.#value(inputs[0]!);
      const shape = storedShape(output.shape, isImage);
      const at = storedAxis(axis, isImage);
      const stride = sizeOf(shape.slice(at));
      const to = this.#targets.get(output.name)?.place ?? this.#room(shape);
      let { offset } = to;
      for (const input of inputs) {
        const from = this.#value(input);
        const count = sizeOf(from.shape.slice(at));
        if (from.place.buffer !== to.buffer) {
          const args = [from.place, count, { buffer: to.buffer, offset }, stride, count];
          this.#emit.step({ name: output.name, kernel: "copy", args, units: sizeOf(shape.slice(0, at)) });
        }
        offset += count;
      }
      this.#stored.set(output.name, { place: to, shape, isImage });
    },
    slice: ({ axis, start, end }, [x], output) => {
      const from = this.#value(x!);
      const at = storedAxis(axis, from.isImage);
      const inner = sizeOf(from.shape.slice(at + 1));
      const shape = from.shape.with(at, end - start);
      const to = this.#store(output, shape, from.isImage);
      const source = { buffer: from.place.buffer, offset: from.place.offset + start * inner };
      const args = [source, sizeOf(from.shape.slice(at)), to, (end - start) * inner, (end - start) * inner];
      this.#emit.step({ name: output.name, kernel: "copy", args, units: sizeOf(shape.slice(0, at)) });
    },
    transpose: ({ permutation }, [x], output, operation) => {
      const from = this.#value(x!);
      const order = permutation.join();
      if (order !== (from.isImage ? "0,2,3,1" : "0,3,1,2")) throw noKernel(operation);
      this.#stored.set(output.name, { ...from, isImage: !from.isImage });
    },
    reshape: ({ shape }, [x], output, operation) => {
      const from = this.#value(x!);
      if (from.isImage || shape[0] !== x!.shape[0]) throw noKernel(operation);
      this.#stored.set(output.name, { ...from, shape: shape.slice(1) });
    },
  };

  #conv(
    weights: FloatTensor,
    parts: Pick<ConvStep, "kernel" | "strides" | "pads" | "x" | "isInputRelu" | "depthwise">,
    bias: Float32Array | undefined,
  ): ConvStep {
    const filters = weights.shape[0]!;
    const panel = (weights.data.length / filters) * panelWidth;
    const packed = this.#emit.kernel(packKernel(weights), panel);
    return { kind: "conv", ...parts, weights: packed, filters, bias, residual: undefined, isRelu: false };
  }

  #affine(x: Value, output: Value, factors: { scale?: Float32Array; shift?: Float32Array }): void {
    const step = { kind: "affine", scale: undefined, shift: undefined, isRelu: false, ...factors } as const;
    this.#define(output, { ...step, x: this.#value(x) });
  }

  #elementwise(kernel: string, x: Value, output: Value, parameter = 0): void {
    const from = this.#value(x);
    const to = this.#store(output, from.shape, from.isImage);
    this.#emit.step({ name: output.name, kernel, args: [from.place, to, parameter], units: sizeOf(from.shape) });
  }

  #pool(x: Value, output: Value, window: WindowGeometry, isMax: boolean): void {
    const from = this.#value(x);
    const [height, width, channels] = from.shape as [number, number, number];
    const shape = storedShape(output.shape, output.shape.length === 4);
    const { place, stride } = this.#target(output, shape);
    const args = [from.place, height, width, channels, place, stride, shape.at(-2) ?? 1, ...windowArgs(window)];
    const units = sizeOf(shape.slice(0, -1));
    this.#emit.step({ name: output.name, kernel: "pool", args: [...args, Number(isMax)], units });
  }

  /** Leaves a step open if the only operator that reads its result joins it, else writes it. */
  #define(output: Value, step: FusedStep): void {
    const [reader, ...others] = this.#readers.get(output.name) ?? [];
    const isOwn = reader !== undefined && others.length === 0 && !this.#published.has(output.name);
    if (isOwn && canJoin(step, reader, ({ name }) => this.#fixed.has(name))) {
      this.#pending.set(output.name, step);
    } else this.#write(output, step);
  }

  #write(output: Value, step: FusedStep): void {
    const shape = storedShape(output.shape, output.shape.length === 4);
    emitFused(this.#emit, step, output.name, shape, this.#target(output, shape));
  }

  /** The open step of a value, which the caller takes over. */
  #take({ name }: Value): FusedStep | undefined {
    const step = this.#pending.get(name);
    this.#pending.delete(name);
    return step;
  }

  /** The memory of a value that earlier operators computed; writes its step if it is still open. */
  #value(value: Value): Stored {
    const open = this.#take(value);
    if (open) this.#write(value, open);
    return this.#stored.get(value.name)!;
  }

  #room(shape: Shape): Place {
    return { buffer: this.#emit.buffer(sizeOf(shape)), offset: 0 };
  }

  #store(output: Value, shape: Shape, isImage: boolean): Place {
    const place = this.#room(shape);
    this.#stored.set(output.name, { place, shape, isImage });
    return place;
  }

  /** Memory for the result of a step that can leave space between pixels: a part of a concatenated image, if it is one. */
  #target(output: Value, shape: Shape): Target {
    const target = this.#targets.get(output.name);
    if (target === undefined || shape.length !== 3) {
      return { place: this.#store(output, shape, shape.length === 3), stride: shape.at(-1)! };
    }
    this.#stored.set(output.name, { place: target.place, shape, isImage: true });
    return target;
  }

  #fixedOperand(operands: readonly Value[]): readonly [fixed: Value | undefined, other: Value | undefined] {
    const index = operands.findIndex(({ name }) => this.#fixed.has(name));
    return index < 0 ? [undefined, undefined] : [operands[index], operands[1 - index]];
  }

  /** A constant or weight as one number for each channel. */
  #perChannel({ name }: Value, { shape: along }: Value, operation: Operation): Float32Array {
    const { shape, data } = this.#fixed.get(name)!;
    const channels = along[1]!;
    if (data.length === 1) return new Float32Array(channels).fill(data[0]!);
    const isVector = along.length === 4 ? shape.join() === `${channels},1,1` : shape.join() === `${channels}`;
    if (along.length === 3 || !isVector) throw noKernel(operation);
    return data;
  }
}
