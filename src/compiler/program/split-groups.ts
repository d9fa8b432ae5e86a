import { OpGraphBuilder } from "../../graph/op-builder.ts";
import type { Operation, Value } from "../../graph/ops.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import type { FoldedGraph } from "../fold-batch-norm.ts";

/** Returns whether a convolution has one filter for each channel. */
export function isDepthwise({ config, inputs: [x, kernel] }: Operation): boolean {
  const channels = x!.shape[1]!;
  return config.kind === "conv" && config.groups > 1 && config.groups === channels && kernel!.shape[0] === channels;
}

/**
 * Replaces each grouped convolution that is not depthwise by one convolution for each group: slices of its channels, and their
 * results concatenated.
 */
export function splitGroups({ graph, weights }: FoldedGraph): FoldedGraph {
  const isGrouped = (operation: Operation) => {
    const { config, inputs } = operation;
    const isStored = inputs.slice(1).every(({ name }) => weights.has(name));
    return config.kind === "conv" && config.groups > 1 && isStored && !isDepthwise(operation);
  };
  if (!graph.operations.some(isGrouped)) return { graph, weights };
  const build = new OpGraphBuilder();
  const renamed = new Map<string, Value>();
  const stored = new Map(weights);
  const now = ({ name }: Value): Value => renamed.get(name)!;
  for (const each of graph.inputs) renamed.set(each.name, build.input(each.name, each.shape, each.type));
  for (const each of graph.constants) renamed.set(each.name, build.constant(each.data, each.shape));
  for (const each of graph.parameters) renamed.set(each.name, build.parameter(each.name, each.shape));
  for (const operation of graph.operations) {
    const { config, inputs, outputs } = operation;
    if (config.kind !== "conv" || !isGrouped(operation)) {
      const hints = outputs.map(({ name }) => name);
      const results = build.ops(config, inputs.map(now), hints);
      for (const [index, { name }] of outputs.entries()) renamed.set(name, results[index]!);
      continue;
    }
    const [x, ...parameters] = inputs as [Value, ...Value[]];
    const size = x.shape[1]! / config.groups;
    const parts = Array.from({ length: config.groups }, (_, group) => {
      const slice = { kind: "slice", axis: 1, start: group * size, end: (group + 1) * size } as const;
      const own = parameters.map(({ name }) => {
        const part = partOf(weights.get(name)!, group, config.groups);
        const parameter = build.parameter(`${name}/group ${group}`, part.shape);
        stored.set(parameter.name, part);
        return parameter;
      });
      return build.op(
        { ...config, groups: 1 },
        [build.op(slice, [now(x)]), ...own],
        `${outputs[0]!.name}/group ${group}`,
      );
    });
    const joined = build.op({ kind: "concatenate", axis: 1 }, parts, outputs[0]!.name);
    renamed.set(outputs[0]!.name, joined);
  }
  for (const [name, value] of graph.outputs) build.output(name, now(value));
  return { graph: build.finish(), weights: stored };
}

/** The weights of one group's filters. */
function partOf({ shape, data }: FloatTensor, group: number, groups: number): FloatTensor {
  const size = data.length / groups;
  return floatTensor([shape[0]! / groups, ...shape.slice(1)], data.slice(group * size, (group + 1) * size));
}
