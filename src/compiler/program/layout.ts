import { GraphError } from "../../base/errors.ts";
import type { Operation, OpGraph } from "../../graph/ops.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { Target } from "./fused-steps.ts";

/** The shape of a value in memory: without the axis of images, channels last. */
export function storedShape([, ...shape]: Shape, isImage: boolean): Shape {
  return isImage ? [...shape.slice(1), shape[0]!] : shape;
}

/** The axis of a value in memory. */
export function storedAxis(axis: number, isImage: boolean): number {
  return isImage ? [-1, 2, 0, 1][axis]! : axis - 1;
}

/** The error of an operator that the engine cannot compute. */
export function noKernel({ config, inputs, outputs }: Operation): GraphError {
  const shapes = inputs.map(({ shape }) => `[${shape.join(", ")}]`).join(", ");
  return new GraphError({
    where: `operator ${config.kind} "${outputs[0]!.name}"`,
    what: "the WebAssembly engine has no kernel for it",
    received: `inputs ${shapes}`,
    remedy: "Use another device, such as cpu.",
  });
}

/**
 * Memory for concatenated images, by the name of the value: of the result, and of those operands that nothing else reads, which
 * can be computed in their place.
 */
export function concatenationTargets(
  graph: OpGraph,
  readers: ReadonlyMap<string, readonly Operation[]>,
  published: ReadonlySet<string>,
): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const { config, inputs, outputs } of graph.operations) {
    const [output] = outputs;
    if (config.kind !== "concatenate" || config.axis !== 1 || output!.shape.length !== 4) continue;
    const [, channels, height, width] = output!.shape as [number, number, number, number];
    const buffer = { bytes: 4 * height * width * channels, isKept: false };
    targets.set(output!.name, { place: { buffer, offset: 0 }, stride: channels });
    let offset = 0;
    for (const input of inputs) {
      const isOwn = readers.get(input.name)!.length === 1 && !published.has(input.name) && !targets.has(input.name);
      if (isOwn) targets.set(input.name, { place: { buffer, offset }, stride: channels });
      offset += input.shape[1]!;
    }
  }
  return targets;
}
