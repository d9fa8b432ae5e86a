import { GraphError } from "../base/errors.ts";
import { OpGraphBuilder } from "../graph/op-builder.ts";
import { dependents, type Operation, type OpGraph, type OpKind, type Value } from "../graph/ops.ts";
import { sizeOf } from "../tensor/shape.ts";
import { gradientRules } from "./gradient-rules.ts";

/** A graph extended by gradients. */
export interface GraphWithGradients {
  /** The graph, continued; each gradient is also its output `gradient/<name>`. */
  readonly graph: OpGraph;
  /** By the name of the value it belongs to. */
  readonly gradients: ReadonlyMap<string, Value>;
}

/**
 * Continues a graph with the gradients of one scalar output, by walking its operators backwards once (reverse mode).
 * @param target name of an output with a single element, e.g. the loss.
 * @param withRespectTo names of parameters (training), inputs or intermediate values (Grad-CAM).
 * @throws {GraphError} the target is unknown or not a scalar, or does not depend on a value.
 */
export function gradient(graph: OpGraph, target: string, withRespectTo: readonly string[]): GraphWithGradients {
  const root = scalarOutput(graph, target);
  const wanted = new Set(withRespectTo);
  const dependent = dependents(graph, wanted);
  const build = new OpGraphBuilder(graph);
  const arrived = new Map<string, Value>([[root.name, build.constant(new Float32Array(1).fill(1), root.shape)]]);

  for (const operation of graph.operations.toReversed()) {
    if (!operation.inputs.some((input) => dependent.has(input.name))) continue;
    assertSingleOutput(operation, arrived);
    const dy = arrived.get(operation.outputs[0]!.name);
    if (!dy) continue;
    const rule = gradientRules[operation.config.kind] as (typeof gradientRules)[OpKind];
    const writers = rule({ ...operation, build, dy } as never);
    for (const [index, input] of operation.inputs.entries()) {
      if (!dependent.has(input.name)) continue;
      const part = writers[index]!();
      const sum = arrived.get(input.name);
      arrived.set(input.name, sum ? build.op({ kind: "add" }, [sum, part], `d.${input.name}.sum`) : part);
    }
  }

  const gradients = new Map<string, Value>();
  for (const name of wanted) {
    const value = arrived.get(name);
    if (!value) {
      throw new GraphError({
        where: `gradient of "${target}"`,
        what: "it does not depend on this value",
        received: name,
      });
    }
    gradients.set(name, value);
    build.output(`gradient/${name}`, value);
  }
  return { graph: build.finish(), gradients };
}

function scalarOutput(graph: OpGraph, target: string): Value {
  const root = graph.outputs.get(target);
  if (!root || sizeOf(root.shape) !== 1) {
    throw new GraphError({
      where: `gradient of "${target}"`,
      what: root ? "the output is not a scalar" : "the graph has no such output",
      received: root?.shape,
      expected: root ? "a single element" : `one of ${[...graph.outputs.keys()].join(", ")}`,
    });
  }
  return root;
}

function assertSingleOutput(operation: Operation, arrived: ReadonlyMap<string, Value>): void {
  const other = operation.outputs.slice(1).find((output) => arrived.has(output.name));
  if (!other) return;
  throw new GraphError({
    where: `gradient of ${operation.config.kind}`,
    what: "only its first output can be differentiated",
    received: other.name,
  });
}
