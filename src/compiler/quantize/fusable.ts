import { OpGraphBuilder } from "../../graph/op-builder.ts";
import { type Operation, type OpGraph, readersOf, type Value } from "../../graph/ops.ts";

/**
 * Writes an integer graph so that the engine computes more of it with integers; the results stay the same.
 *
 * - A sum of bytes that is rounded more than once, as it is or rectified, becomes as many sums: the engine adds bytes (`QLinearAdd`) only
 *   where a single rounding reads the sum.
 * - A dense layer subtracts its negative bias: the engine would fuse an addition with the matrix multiplication of integers
 *   (`MatMulIntegerToFloat`) into one of floats (`Gemm`).
 */
export function fusable(graph: OpGraph): OpGraph {
  const producers = new Map(graph.operations.flatMap((each) => each.outputs.map(({ name }) => [name, each])));
  const readers = readersOf(graph);
  const published = new Set([...graph.outputs.values()].map(({ name }) => name));
  const isFrom = (kind: Operation["config"]["kind"], { name }: Value) => producers.get(name)?.config.kind === kind;
  const isIntegerProduct = (value: Value) =>
    isFrom("matMul", value) && isFrom("dequantizeLinear", producers.get(value.name)!.inputs[1]!);

  const isRounded = ({ outputs: [y] }: Operation): boolean =>
    !published.has(y!.name) && (readers.get(y!.name) ?? []).every((each) => isRounding(each));
  const isRounding = (reader: Operation): boolean =>
    reader.config.kind === "quantizeLinear" || (reader.config.kind === "relu" && isRounded(reader));
  /** Operations that are written once for each rounding of their result, by its name. */
  const repeated = new Map<string, Operation>();
  const isRepeated = (operation: Operation): boolean => {
    const { config, inputs } = operation;
    if (config.kind === "relu") return repeated.has(inputs[0]!.name);
    return config.kind === "add" && inputs.every((each) => isFrom("dequantizeLinear", each)) && isRounded(operation);
  };

  const build = new OpGraphBuilder({ ...graph, operations: [], outputs: new Map() });
  const written = new Map<string, Value>();
  const write = ({ config, inputs, outputs }: Operation): readonly Value[] => {
    const operands = inputs.map((value): Value => {
      const operation = repeated.get(value.name);
      return operation ? write(operation)[0]! : (written.get(value.name) ?? value);
    });
    const names = outputs.map(({ name }) => name);
    if (config.kind !== "add" || !isIntegerProduct(inputs[0]!)) return build.ops(config, operands, names);
    const [product, bias] = operands as [Value, Value];
    const negative = build.op({ kind: "multiply" }, [bias, build.constant(-1)], `${bias.name}/negative`);
    return [build.op({ kind: "subtract" }, [product, negative], names[0]!)];
  };
  for (const operation of graph.operations) {
    if (isRepeated(operation)) repeated.set(operation.outputs[0]!.name, operation);
    else {
      const values = write(operation);
      for (const [index, { name }] of operation.outputs.entries()) written.set(name, values[index]!);
    }
  }
  for (const [name, value] of graph.outputs) build.output(name, written.get(value.name) ?? value);
  return build.finish();
}
