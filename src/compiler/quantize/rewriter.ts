import { OpGraphBuilder } from "../../graph/op-builder.ts";
import type { ByteScale, Operation, OpGraph, Value } from "../../graph/ops.ts";
import type { Quantization } from "./quantization.ts";

/** Operands of a layer that is computed with integers. */
export interface LayerOperands {
  readonly kernel: Value;
  readonly bias: Value | undefined;
  /** Axis of the kernel's filters. */
  readonly axis: 0 | 1;
  /** Scale of the activation that the layer reads. */
  readonly inputScale: number;
}

/** How rounded numbers are written: as integers, or in float32. */
export interface Rounding {
  /** Adds inputs, constants and parameters; returns them by their name in the folded graph. */
  readonly start: (build: OpGraphBuilder) => ReadonlyMap<string, Value>;
  /** Rounds also the largest of rounded numbers, which then are bytes for the engine, too. */
  readonly roundsMaxima: boolean;
  /** Rounds an activation. */
  readonly activation: (build: OpGraphBuilder, value: Value, scale: ByteScale) => Value;
  /** Rounds a layer's kernel and bias; `started` is what `start` returned. */
  readonly weights: (
    build: OpGraphBuilder,
    operands: LayerOperands,
    started: ReadonlyMap<string, Value>,
  ) => readonly Value[];
}

/** Rebuilds a folded graph with some of its values rounded. */
export class RoundingRewriter {
  readonly #activations: Quantization["activations"];
  readonly #rounding: Rounding;
  readonly #build = new OpGraphBuilder();
  readonly #started: ReadonlyMap<string, Value>;
  /** Values by their name in the old graph. */
  readonly #renamed: Map<string, Value>;
  /** Scales of values whose readers all read the rounded one. */
  readonly #scales = new Map<string, ByteScale>();
  /** Rounded copies of values whose other readers read floats. */
  readonly #copies = new Map<string, Value>();

  constructor(activations: Quantization["activations"], rounding: Rounding) {
    this.#activations = activations;
    this.#rounding = rounding;
    this.#started = rounding.start(this.#build);
    this.#renamed = new Map(this.#started);
  }

  scaleOf({ name }: Value): ByteScale | undefined {
    return this.#scales.get(name);
  }

  /** Copies an operation; returns its first result. */
  copy({ config, inputs, outputs }: Operation): Value {
    const hints = outputs.map(({ name }) => name);
    const results = this.#build.ops(
      config,
      inputs.map(({ name }) => this.#renamed.get(name)!),
      hints,
    );
    for (const [index, { name }] of outputs.entries()) this.#renamed.set(name, results[index]!);
    return results[0]!;
  }

  /** Writes a layer with rounded operands; returns its result, which is not rounded yet. */
  integerLayer({ config, inputs: [x, kernel, bias], outputs: [y] }: Operation): Value {
    const axis = config.kind === "matMul" ? 1 : 0;
    const { scale: inputScale } = this.#scales.get(x!.name) ?? this.#activations.get(x!.name)!;
    const operands = { kernel: kernel!, bias, axis, inputScale } as const;
    const rounded = this.#rounded(x!);
    const weights = this.#rounding.weights(this.#build, operands, this.#started);
    const result = this.#build.op(config, [rounded, ...weights], y!.name);
    this.#renamed.set(y!.name, result);
    return result;
  }

  /** Rounds a computed value for all its readers. */
  roundForAll({ name }: Value, computed: Value, scale: ByteScale): void {
    this.#scales.set(name, scale);
    this.#renamed.set(name, this.#rounding.activation(this.#build, computed, scale));
  }

  /** Marks a computed value as rounded: the largest of rounded numbers is one of them. */
  keepRounded(value: Value, computed: Value, scale: ByteScale): void {
    if (this.#rounding.roundsMaxima) this.roundForAll(value, computed, scale);
    else this.#scales.set(value.name, scale);
  }

  /** The new graph, and its values by their name in the old one. */
  finish(outputs: OpGraph["outputs"]): { readonly graph: OpGraph; readonly values: ReadonlyMap<string, Value> } {
    for (const [name, value] of outputs) this.#build.output(name, this.#renamed.get(value.name)!);
    return { graph: this.#build.finish(), values: this.#renamed };
  }

  /** A value, rounded. */
  #rounded({ name }: Value): Value {
    const value = this.#renamed.get(name)!;
    if (this.#scales.has(name)) return value;
    const known = this.#copies.get(name) ?? this.#rounding.activation(this.#build, value, this.#activations.get(name)!);
    this.#copies.set(name, known);
    return known;
  }
}
