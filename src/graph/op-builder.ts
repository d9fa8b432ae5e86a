import { GraphError } from "../base/errors.ts";
import { type Shape, sizeOf } from "../tensor/shape.ts";
import { opOutputShapes } from "./op-shapes.ts";
import type { Constant, ElementType, OpConfig, Operation, OpGraph, Value } from "./ops.ts";

/** Builds an op graph operator by operator, checking shapes on the way. */
export class OpGraphBuilder {
  readonly #inputs: Value[] = [];
  readonly #parameters: Value[] = [];
  readonly #constants: Constant[] = [];
  readonly #operations: Operation[] = [];
  readonly #outputs = new Map<string, Value>();
  readonly #names = new Set<string>();

  /** Starts from a copy of `graph`, if given. */
  constructor(graph?: OpGraph) {
    if (!graph) return;
    this.#inputs.push(...graph.inputs);
    this.#parameters.push(...graph.parameters);
    this.#constants.push(...graph.constants);
    this.#operations.push(...graph.operations);
    for (const [name, value] of graph.outputs) this.#outputs.set(name, value);
    for (const value of [...graph.inputs, ...graph.parameters, ...graph.constants]) this.#names.add(value.name);
    for (const operation of graph.operations) for (const value of operation.outputs) this.#names.add(value.name);
  }

  /** @throws {GraphError} the name is taken. */
  input(name: string, shape: Shape, type: ElementType = "float32"): Value {
    const value = { name: this.#claim(name), type, shape };
    this.#inputs.push(value);
    return value;
  }

  /** @throws {GraphError} the name is taken. */
  parameter(name: string, shape: Shape, type: ElementType = "float32"): Value {
    const value = { name: this.#claim(name), type, shape };
    this.#parameters.push(value);
    return value;
  }

  /**
   * Adds a constant of the given shape; by default a number is a scalar and a list a vector.
   * @throws {GraphError} the data does not fill the shape.
   */
  constant(data: Float32Array | readonly number[] | number, shape?: Shape): Constant {
    const values = typeof data === "number" ? Float32Array.of(data) : Float32Array.from(data);
    const constant = {
      name: this.#unused("constant"),
      type: "float32",
      shape: shape ?? (typeof data === "number" ? [] : [values.length]),
      data: values,
    } as const;
    if (sizeOf(constant.shape) !== values.length) {
      throw new GraphError({
        where: "constant",
        what: "the data does not fill the shape",
        received: values.length,
        expected: `${sizeOf(constant.shape)} values`,
      });
    }
    this.#constants.push(constant);
    return constant;
  }

  /**
   * Adds an operator and returns its first output, named after `hint`.
   * @throws {GraphError} an input does not belong to this graph.
   * @throws {ShapeError} the inputs do not fit the operator.
   */
  op(config: OpConfig, inputs: readonly Value[], hint: string = config.kind): Value {
    return this.ops(config, inputs, [hint])[0]!;
  }

  /** Adds an operator and returns all its outputs, one for each hint. */
  ops(config: OpConfig, inputs: readonly Value[], hints: readonly string[]): readonly Value[] {
    for (const value of inputs) {
      if (this.#names.has(value.name)) continue;
      throw new GraphError({
        where: `operator ${config.kind}`,
        what: "an input is not of this graph",
        received: value.name,
      });
    }
    const shapes = opOutputShapes(
      config,
      inputs.map((value) => value.shape),
    );
    const type = resultType(config, inputs[0]!.type);
    const outputs = shapes.map((shape, index) => ({ name: this.#unused(hints[index] ?? config.kind), type, shape }));
    this.#operations.push({ config, inputs, outputs });
    return outputs;
  }

  /** @throws {GraphError} the value does not belong to this graph, or the output's name is taken. */
  output(name: string, value: Value): void {
    if (!this.#names.has(value.name)) {
      throw new GraphError({ where: `output "${name}"`, what: "its value is not of this graph", received: value.name });
    }
    if (this.#outputs.has(name)) {
      throw new GraphError({ where: `output "${name}"`, what: "another output of this graph has the same name" });
    }
    this.#outputs.set(name, value);
  }

  /** Returns the graph built so far; later changes to the builder do not affect it. */
  finish(): OpGraph {
    return {
      inputs: [...this.#inputs],
      parameters: [...this.#parameters],
      constants: [...this.#constants],
      operations: [...this.#operations],
      outputs: new Map(this.#outputs),
    };
  }

  #claim(name: string): string {
    if (this.#names.has(name)) {
      throw new GraphError({ where: `value "${name}"`, what: "another value of this graph has the same name" });
    }
    this.#names.add(name);
    return name;
  }

  #unused(hint: string): string {
    let name = hint;
    for (let count = 1; this.#names.has(name); count++) name = `${hint}.${count}`;
    return this.#claim(name);
  }
}

function resultType(config: OpConfig, input: ElementType): ElementType {
  if (config.kind === "cast") return config.to;
  if (config.kind === "quantizeLinear") return "uint8";
  return config.kind === "dequantizeLinear" ? "float32" : input;
}
