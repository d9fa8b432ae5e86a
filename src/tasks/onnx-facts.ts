import type { OnnxContent } from "../compiler/onnx-reader.ts";
import type { GraphFacts } from "../report/graph-summary.ts";
import { sizeOf } from "../tensor/shape.ts";

/** What kind of file it is, and what its graph is made of, in a few words. */
export function describeOnnx(content: OnnxContent): string {
  const operators = [...operatorCounts(content)].map(([operator, count]) => `${count} ${operator}`).join(", ");
  const { outputs, nodes } = content;
  return `ONNX graph ${fedInputs(content).join(", ")} → ${outputs.join(", ")} of ${nodes.length} nodes: ${operators}`;
}

/** What its graph computes from what, and is made of. */
export function graphOfOnnx(content: OnnxContent): GraphFacts {
  const fact = (name: string) => ({ name, shape: content.shapes.get(name) ?? null });
  const operators = [...operatorCounts(content)].sort(([, a], [, b]) => b - a);
  return {
    inputs: fedInputs(content).map(fact),
    outputs: content.outputs.map(fact),
    operators: Object.fromEntries(operators),
    params: [...content.tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0),
  };
}

/** Old files list what is stored among the inputs. */
function fedInputs({ inputs, tensors }: OnnxContent): readonly string[] {
  return inputs.filter((name) => !tensors.has(name));
}

function operatorCounts({ nodes }: OnnxContent): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { operator } of nodes) counts.set(operator, (counts.get(operator) ?? 0) + 1);
  return counts;
}
