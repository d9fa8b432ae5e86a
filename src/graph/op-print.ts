import { formatShape } from "../tensor/shape.ts";
import type { Constant, OpConfig, OpGraph, Value } from "./ops.ts";

/** Prints an op graph as text, one line per value, for reading and for snapshot tests. */
export function printOpGraph(graph: OpGraph): string {
  const lines = [
    ...graph.inputs.map((value) => `input ${describe(value)}`),
    ...graph.parameters.map((value) => `parameter ${describe(value)}`),
    ...graph.constants.map((constant) => `constant ${describe(constant)} = ${numbers(constant)}`),
    ...graph.operations.map(({ config, inputs, outputs }) => {
      const call = `${config.kind}(${inputs.map((value) => value.name).join(", ")})`;
      return `${outputs.map(describe).join(", ")} = ${call}${attributes(config)}`;
    }),
    ...[...graph.outputs].map(([name, value]) => `output ${name} = ${value.name}`),
  ];
  return `${lines.join("\n")}\n`;
}

function describe({ name, type, shape }: Value): string {
  return `${name}: ${type === "float32" ? "" : `${type} `}${formatShape(shape)}`;
}

/** The values if they are few, else the first ones. */
function numbers({ data }: Constant): string {
  const shown = Array.from(data.subarray(0, 8), (value) => Number(value.toPrecision(7)));
  return data.length > shown.length ? `${shown.join(" ")} …` : shown.join(" ");
}

function attributes({ kind: _, ...rest }: OpConfig): string {
  const entries = Object.entries(rest);
  if (entries.length === 0) return "";
  return ` {${entries.map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(" ") : value}`).join(", ")}}`;
}
