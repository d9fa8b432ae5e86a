import type { Operation, OpGraph, OpKind, OpOf, Value } from "../graph/ops.ts";
import { sameShape } from "../tensor/shape.ts";
import { BlockedKernels } from "./onnx-blocked-kernels.ts";
import { type Attributes, domains, elementCount, type OnnxEmitter } from "./onnx-emitter.ts";
import { emitPointwiseFilterGradient, emitRules, poolAttributes, windowAttributes } from "./onnx-rules.ts";

/**
 * Writes operators on blocks of channels, `[N, C/b, H, W, b]`, with `b` values that fit one vector register: the layout
 * in which the engine's CPU kernels for convolution are fastest. The engine chooses it by itself only where weights are
 * constant, which a training step's are not; so here the graph asks for it. A value is converted when the first
 * operator wants it in the other layout, and at most once in each direction. In the engine's eyes a blocked tensor has
 * the shape `[N, C', H, W]`, with C' the next multiple of b; the lanes beyond C hold zeros throughout.
 *
 * Three uses of the blocked convolution go beyond its name:
 * - with a 1×1 depthwise kernel it is `scale·x + shift (+ sum)`, one pass over memory for a batch normalization;
 * - with the gradient in the place of the kernel, a picture-sized depthwise kernel, it is the gradient of a depthwise
 *   kernel (`dw[i, j] = Σ x[r+i, c+j]·dy[r, c]`), because both tensors have the layout of blocked depthwise kernels;
 * - the same without padding is the scalar product Σ x·y for each channel, which batch statistics need.
 */
export class BlockedLayout {
  readonly #emit: OnnxEmitter;
  readonly #block: number;
  readonly #kernels: BlockedKernels;
  readonly #nameOf: (value: Value) => string;
  readonly #readers = new Map<string, Operation[]>();
  readonly #published: ReadonlySet<Value>;
  readonly #plainNames = new Map<string, string>();
  readonly #blockedNames = new Map<string, string>();
  /** ReLUs already computed by the batch normalization before them. */
  readonly #absorbed = new Set<Operation>();

  constructor(emit: OnnxEmitter, graph: OpGraph, block: number, nameOf: (value: Value) => string) {
    this.#emit = emit;
    this.#block = block;
    this.#kernels = new BlockedKernels(emit, block);
    this.#nameOf = nameOf;
    this.#published = new Set(graph.outputs.values());
    for (const operation of graph.operations) {
      for (const { name } of operation.inputs) {
        const readers = this.#readers.get(name);
        if (readers) readers.push(operation);
        else this.#readers.set(name, [operation]);
      }
    }
  }

  /** ONNX name of a value, channels first; converts it if only its blocks exist. */
  plain(value: Value): string {
    const blocked = this.#blockedNames.get(value.name);
    if (blocked === undefined) return this.#nameOf(value);
    const known = this.#plainNames.get(value.name);
    if (known !== undefined) return known;
    const name = this.#nameOf(value);
    this.#emit.node("ReorderOutput", [blocked], [name], { channels: { i: value.shape[1]! } }, domains.blocked);
    this.#plainNames.set(value.name, name);
    return name;
  }

  /** Writes an operator on blocks; false if it has to be written channels first. */
  emit(operation: Operation): boolean {
    if (this.#absorbed.has(operation)) return true;
    const rule = this.#rules[operation.config.kind] as ((config: unknown, operation: Operation) => boolean) | undefined;
    return rule?.(operation.config, operation) ?? false;
  }

  readonly #rules: { readonly [K in OpKind]?: (config: OpOf<K>, operation: Operation) => boolean } = {
    conv: (config, { inputs: [x, w, bias], outputs: [y] }) => {
      const [filters, channels, height, width] = w!.shape as [number, number, number, number];
      const kernel = this.plain(w!);
      const attributes = windowAttributes(config);
      if (!this.#fits(filters)) return false;
      const biasName = bias ? this.#kernels.vector(this.plain(bias), filters) : "";
      if (this.#isDepthwise(config.groups, w!) && this.#fits(channels * config.groups)) {
        const blocks = this.#kernels.depthwise(kernel, filters, [height, width]);
        const group = { i: this.#kernels.padded(filters) };
        this.#conv([this.#blocked(x!), blocks, biasName], this.#define(y!), { ...attributes, group });
        return true;
      }
      if (config.groups !== 1) return false;
      const isFew = channels < this.#block;
      if (!isFew && !this.#fits(channels)) return false;
      const blocks = this.#kernels.dense(kernel, filters, channels, [height, width]);
      this.#conv([isFew ? this.plain(x!) : this.#blocked(x!), blocks, biasName], this.#define(y!), attributes);
      return true;
    },

    convInputGradient: (config, { inputs: [dy, w], outputs: [dx] }) => {
      const [filters, channels, height, width] = w!.shape as [number, number, number, number];
      const [, , rows, columns] = config.inputShape as [number, number, number, number];
      const isDepthwise = this.#isDepthwise(config.groups, w!);
      if (!isDepthwise && config.groups !== 1) return false;
      if (!this.#fits(filters) || !this.#fits(config.inputShape[1]!)) return false;
      const [top, left, bottom, right] = config.pads;
      const pads = [height - 1 - top, width - 1 - left, height - 1 - bottom, width - 1 - right];
      if (pads.some((size) => size < 0)) return false;
      const kernel = this.plain(w!);
      const blocks = isDepthwise
        ? this.#kernels.depthwise(kernel, filters, [height, width], "flipped")
        : this.#kernels.denseTransposed(kernel, filters, channels, [height, width]);
      const group = { i: isDepthwise ? this.#kernels.padded(filters) : 1 };

      if (config.strides.every((stride) => stride === 1)) {
        this.#conv([this.#blocked(dy!), blocks], this.#define(dx!), { pads: { ints: pads }, group });
        return true;
      }
      if (height !== 1 || width !== 1 || config.strides.some((stride) => stride !== 2)) return false;
      const small = this.#emit.unusedName(`${dx!.name}/small`);
      this.#conv([this.#blocked(dy!), blocks], small, { group });
      const [batch, , smallRows, smallColumns] = dy!.shape as [number, number, number, number];
      const planes = (batch * this.#kernels.padded(config.inputShape[1]!)) / this.#block;
      this.#insertZeros(small, this.#define(dx!), [planes, smallRows, smallColumns], this.#blockedShape(dx!), [
        rows,
        columns,
      ]);
      return true;
    },

    convFilterGradient: (config, { inputs: [x, dy], outputs: [dw] }) => {
      const [filters, , height, width] = dw!.shape as [number, number, number, number];
      const [batch, channels, rows, columns] = x!.shape as [number, number, number, number];
      if (!this.#fits(filters) || !this.#fits(channels)) return false;
      const [, , outRows, outColumns] = dy!.shape as [number, number, number, number];
      const isDense = config.strides.every((stride) => stride === 1);

      if (this.#isDepthwise(config.groups, dw!) && isDense) {
        const lanes = this.#kernels.padded(channels);
        const picture = this.#emit.reshape(this.#blocked(x!), [1, batch * lanes, rows, columns]);
        const kernel = this.#emit.reshape(this.#blocked(dy!), [batch * lanes, 1, outRows, outColumns]);
        const products = this.#emit.unusedName(`${dw!.name}/products`);
        this.#conv([picture, kernel], products, { pads: { ints: config.pads }, group: { i: batch * lanes } });
        this.#kernels.depthwiseBack(products, batch, dw!.shape, this.#nameOf(dw!));
        return true;
      }
      const isPointwise = config.groups === 1 && height === 1 && width === 1 && config.pads.every((size) => size === 0);
      if (!isPointwise || isDense) return false;
      // A max pooling over single pixels keeps every second one.
      const step = { kernel_shape: { ints: [1, 1] }, strides: { ints: config.strides } };
      const lanes = this.#emit.compute(`${dw!.name}/kept`, "MaxPool", [this.#blocked(x!)], step, domains.blocked);
      const crop = { channels: { i: channels } };
      const kept = this.#emit.compute(`${dw!.name}/planes`, "ReorderOutput", [lanes], crop, domains.blocked);
      const sizes = [batch, filters, channels, outRows * outColumns] as const;
      const sum = emitPointwiseFilterGradient(this.#emit, dw!.name, kept, this.plain(dy!), sizes);
      this.#emit.node("Reshape", [sum, this.#emit.integers(dw!.shape)], [this.#nameOf(dw!)]);
      return true;
    },

    // With s = 1/√(variance + ε): scale = gamma·s, shift = beta − mean·scale.
    batchNormalizationTraining: ({ epsilon }, { inputs: [x, gamma, beta], outputs: [y, mean, variance] }) => {
      if (!this.#fits(x!.shape[1]!)) return false;
      const source = this.#blocked(x!);
      const compute = this.#computeFor(y!);
      const meanLanes = this.#mean(source, x!, y!.name);
      const meanSquare = this.#meanProduct(source, source, x!, y!.name);
      // Rounding can make the difference of a nearly constant channel negative.
      const difference = compute("difference", "Sub", meanSquare, compute("square", "Mul", meanLanes, meanLanes));
      const varianceLanes = compute("variance", "Max", difference, this.#emit.scalar(0));
      this.#kernels.vectorBack(meanLanes, mean!.shape, this.#nameOf(mean!));
      this.#kernels.vectorBack(varianceLanes, variance!.shape, this.#nameOf(variance!));
      const statistics = { gamma: gamma!, beta: beta!, mean: meanLanes, variance: varianceLanes };
      this.#normalize(source, y!, statistics, epsilon);
      return true;
    },

    batchNormalization: ({ epsilon }, { inputs: [x, gamma, beta, mean, variance], outputs: [y] }) => {
      const channels = x!.shape[1]!;
      if (!this.#fits(channels) || !this.#blockedNames.has(x!.name)) return false;
      const statistics = {
        gamma: gamma!,
        beta: beta!,
        mean: this.#kernels.vector(this.plain(mean!), channels),
        variance: this.#kernels.vector(this.plain(variance!), channels),
      };
      this.#normalize(this.#blocked(x!), y!, statistics, epsilon);
      return true;
    },

    // With m = mean(dy), q = mean(dy·x̂) = (mean(dy·x) − mean·m)·s and a = gamma·s, the gradient of the plain rule is
    // dx = a·dy + b·x + c with b = −a·q·s and c = −a·m − b·mean: two passes.
    batchNormalizationGradient: ({ epsilon }, operation) => {
      const [dy, x, gamma, mean, variance] = operation.inputs as [Value, Value, Value, Value, Value];
      const [dx, dgamma, dbeta] = operation.outputs as [Value, Value, Value];
      const channels = x.shape[1]!;
      if (!this.#fits(channels)) return false;
      const [source, gradient] = [this.#blocked(x), this.#blocked(dy)];
      const compute = this.#computeFor(dx);
      const vector = (value: Value) => this.#kernels.vector(this.plain(value), channels);
      const meanLanes = vector(mean);
      const s = this.#inverseDeviation(vector(variance), epsilon, dx);
      const m = this.#mean(gradient, dy, dx.name);
      const product = this.#meanProduct(source, gradient, x, dx.name);
      const q = compute("q", "Mul", compute("centred", "Sub", product, compute("mm", "Mul", meanLanes, m)), s);
      const a = compute("a", "Mul", vector(gamma), s);
      const b = compute("b", "Neg", compute("aqs", "Mul", compute("aq", "Mul", a, q), s));
      const c = compute(
        "c",
        "Neg",
        compute("am+bm", "Add", compute("am", "Mul", a, m), compute("bm", "Mul", b, meanLanes)),
      );
      const share = this.#emit.unusedName(`${dx.name}/share`);
      this.#scale(channels, source, b, c, share);
      this.#scale(channels, gradient, a, "", this.#define(dx), {}, share);
      const count = this.#emit.scalar(elementCount(x) / channels);
      this.#kernels.vectorBack(compute("sumProduct", "Mul", q, count), dgamma.shape, this.#nameOf(dgamma));
      this.#kernels.vectorBack(compute("sum", "Mul", m, count), dbeta.shape, this.#nameOf(dbeta));
      return true;
    },

    maxPool: (config, { inputs: [x], outputs: [y] }) => {
      if (!this.#blockedNames.has(x!.name)) return false;
      this.#emit.node("MaxPool", [this.#blocked(x!)], [this.#define(y!)], poolAttributes(config), domains.blocked);
      return true;
    },
    reduceMean: ({ axes, keepDims }, { inputs: [x], outputs: [y] }) => {
      if (keepDims || !sameShape(axes, [2, 3]) || !this.#blockedNames.has(x!.name)) return false;
      const lanes = this.#emit.compute(
        `${y!.name}/lanes`,
        "GlobalAveragePool",
        [this.#blocked(x!)],
        {},
        domains.blocked,
      );
      const crop = { channels: { i: x!.shape[1]! } };
      const means = this.#emit.compute(`${y!.name}/means`, "ReorderOutput", [lanes], crop, domains.blocked);
      this.#emit.node("Reshape", [means, this.#emit.integers(y!.shape)], [this.#nameOf(y!)]);
      return true;
    },
    relu: (_, operation) => this.#elementwise(operation),
    reluGradient: (_, operation) => this.#elementwise(operation),
    elu: (_, operation) => this.#elementwise(operation),
    eluGradient: (_, operation) => this.#elementwise(operation),
    add: (_, operation) => this.#elementwise(operation),
  };

  /** Operators that do not care where a channel lies: the plain rule, on blocks, if an input is there already. */
  #elementwise({ config, inputs, outputs }: Operation): boolean {
    const [first] = inputs as [Value];
    const isPossible = inputs.every(({ shape }) => sameShape(shape, first.shape)) && first.shape.length === 4;
    if (!isPossible || !inputs.some(({ name }) => this.#blockedNames.has(name))) return false;
    const x = inputs.map((value) => this.#blocked(value));
    const rule = emitRules[config.kind] as (context: object) => void;
    rule({ emit: this.#emit, config, inputs, outputs, x, y: [this.#define(outputs[0]!)] });
    return true;
  }

  #normalize(
    source: string,
    y: Value,
    { gamma, beta, mean, variance }: { gamma: Value; beta: Value; mean: string; variance: string },
    epsilon: number,
  ): void {
    const channels = y.shape[1]!;
    const compute = this.#computeFor(y);
    const s = this.#inverseDeviation(variance, epsilon, y);
    const scale = compute("scale", "Mul", this.#kernels.vector(this.plain(gamma), channels), s);
    const betaLanes = this.#kernels.vector(this.plain(beta), channels);
    const shift = compute("shift", "Sub", betaLanes, compute("meanScale", "Mul", mean, scale));
    const relu = this.#onlyReader(y, "relu");
    if (relu) {
      this.#absorbed.add(relu);
      this.#scale(channels, source, scale, shift, this.#define(relu.outputs[0]!), { activation: { s: "Relu" } });
    } else {
      this.#scale(channels, source, scale, shift, this.#define(y));
    }
  }

  #inverseDeviation(variance: string, epsilon: number, of: Value): string {
    const compute = this.#computeFor(of);
    const root = compute("root", "Sqrt", compute("shifted", "Add", variance, this.#emit.scalar(epsilon)));
    return compute("s", "Div", this.#emit.scalar(1), root);
  }

  /** Mean over batch and picture for each channel, `[C']`. */
  #mean(blocked: string, { shape }: Value, hint: string): string {
    const lanes = this.#kernels.padded(shape[1]!);
    const means = this.#emit.compute(`${hint}/means`, "GlobalAveragePool", [blocked], {}, domains.blocked);
    return this.#meanOfBatch(this.#emit.reshape(means, [shape[0]!, lanes]), hint);
  }

  /** Mean over batch and picture of x·y for each channel, `[C']`. */
  #meanProduct(x: string, y: string, { shape }: Value, hint: string): string {
    const [batch, channels, height, width] = shape as [number, number, number, number];
    const lanes = this.#kernels.padded(channels);
    const picture = this.#emit.reshape(x, [1, batch * lanes, height, width]);
    const kernel = this.#emit.reshape(y, [batch * lanes, 1, height, width]);
    const products = this.#emit.unusedName(`${hint}/products`);
    this.#conv([picture, kernel], products, { group: { i: batch * lanes } });
    const sums = this.#meanOfBatch(this.#emit.reshape(products, [batch, lanes]), hint);
    return this.#emit.compute(`${hint}/meanProduct`, "Mul", [sums, this.#emit.scalar(1 / (height * width))]);
  }

  #meanOfBatch(name: string, hint: string): string {
    return this.#emit.compute(`${hint}/mean`, "ReduceMean", [name, this.#emit.integers([0])], { keepdims: { i: 0 } });
  }

  /** scale·x + shift + sum as a depthwise convolution with a kernel of one pixel. */
  #scale(
    channels: number,
    x: string,
    scale: string,
    shift: string,
    y: string,
    attributes: Attributes = {},
    sum = "",
  ): void {
    const lanes = this.#kernels.padded(channels);
    const kernel = this.#emit.reshape(scale, [lanes, 1, 1, 1]);
    this.#conv([x, kernel, shift, sum], y, { ...attributes, group: { i: lanes } });
  }

  /** Pixels of the small picture at even rows and columns of the large one, zeros elsewhere. */
  #insertZeros(
    small: string,
    large: string,
    [planes, rows, columns]: readonly [number, number, number],
    shape: readonly number[],
    [largeRows, largeColumns]: readonly [number, number],
  ): void {
    const block = this.#block;
    const view = this.#emit.reshape(small, [planes, rows, 1, columns, block]);
    const amounts = this.#emit.integers([0, 0, 0, 0, 0, 0, 0, 1, 0, block]);
    const spread = this.#emit.compute(`${large}/spread`, "Pad", [view, amounts]);
    const pixels = this.#emit.reshape(spread, [planes, 2 * rows, 2 * columns, block]);
    const bounds = [
      [0, 0],
      [largeRows, largeColumns],
      [1, 2],
    ].map((each) => this.#emit.integers(each));
    const cropped = this.#emit.compute(`${large}/cropped`, "Slice", [pixels, ...bounds]);
    this.#emit.node("Reshape", [cropped, this.#emit.integers(shape)], [large]);
  }

  #conv(operands: readonly string[], y: string, attributes: Attributes): void {
    const last = operands.findLastIndex((name) => name !== "");
    this.#emit.node("Conv", operands.slice(0, last + 1), [y], attributes, domains.blocked);
  }

  /** ONNX name of a value's blocks; converts it if it exists channels first only. */
  #blocked(value: Value): string {
    const known = this.#blockedNames.get(value.name);
    if (known !== undefined) return known;
    const source = this.#nameOf(value);
    const name = this.#define(value);
    this.#plainNames.set(value.name, source);
    this.#emit.node("ReorderInput", [source], [name], {}, domains.blocked);
    return name;
  }

  /** A name for the blocks of a value that is about to be computed. */
  #define(value: Value): string {
    const name = this.#emit.unusedName(`${value.name}~blocks`);
    this.#blockedNames.set(value.name, name);
    return name;
  }

  #blockedShape({ shape }: Value): readonly number[] {
    return [shape[0]!, this.#kernels.padded(shape[1]!), ...shape.slice(2)];
  }

  #onlyReader(value: Value, kind: OpKind): Operation | undefined {
    const readers = this.#readers.get(value.name) ?? [];
    const isHidden = readers.length === 1 && !this.#published.has(value);
    return isHidden && readers[0]!.config.kind === kind ? readers[0] : undefined;
  }

  #isDepthwise(groups: number, kernel: Value): boolean {
    return groups > 1 && kernel.shape[0] === groups && kernel.shape[1] === 1;
  }

  /** The engine converts channels in groups of four. */
  #fits(channels: number): boolean {
    return channels % 4 === 0;
  }

  #computeFor(of: Value) {
    return (hint: string, operator: string, ...operands: string[]): string =>
      this.#emit.compute(`${of.name}/${hint}`, operator, operands);
  }
}
