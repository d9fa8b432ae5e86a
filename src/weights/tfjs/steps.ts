import { z } from "zod";
import { checkDocument } from "../../json-document.ts";
import type { GraphStep, StepKind } from "../graphs/graph-steps.ts";
import type { StoredWeight } from "../stored-layers.ts";

const nodeSchema = z.object({
  name: z.string(),
  op: z.string(),
  input: z.array(z.string()).nullish(),
  attr: z.object({ transpose_b: z.object({ b: z.boolean().nullish() }).nullish() }).nullish(),
});

type Node = z.infer<typeof nodeSchema>;

const kinds: Readonly<Record<string, StepKind>> = {
  Conv2D: "convolution",
  _FusedConv2D: "convolution",
  DepthwiseConv2dNative: "depthwise",
  FusedDepthwiseConv2dNative: "depthwise",
  MatMul: "dense",
  _FusedMatMul: "dense",
  FusedBatchNorm: "normalization",
  FusedBatchNormV2: "normalization",
  FusedBatchNormV3: "normalization",
  Mul: "scale",
  BiasAdd: "offset",
  Add: "offset",
  AddV2: "offset",
  Identity: "view",
};

/**
 * The operations of a graph model: a graph of TensorFlow, whose kernels are in Keras's layout.
 * @throws {FormatError} a node is none.
 */
export function tfjsSteps(
  nodes: readonly unknown[],
  weights: readonly StoredWeight[],
  where: string,
): readonly GraphStep<StoredWeight>[] {
  const checked = nodes.map((node, index) => checkDocument(nodeSchema, node, `${where}, node ${index}`));
  const stored = new Map(weights.map((weight) => [weight.path, weight]));
  for (const { op, name, input } of checked) {
    // A variable that was made a constant may be read through these.
    const source = op === "Identity" ? stored.get(resultOf(input?.[0] ?? "")) : undefined;
    if (source) stored.set(name, source);
  }
  return checked.map((node) => stepOf(node, stored));
}

function stepOf({ op, name, input, attr }: Node, stored: ReadonlyMap<string, StoredWeight>): GraphStep<StoredWeight> {
  const read = (input ?? []).filter((each) => !each.startsWith("^")).map(resultOf);
  const inputs = read.filter((each) => !stored.has(each));
  const weights = read.flatMap((each) => stored.get(each) ?? []);
  const step = { inputs, outputs: [name], weights };
  const kind = kinds[op] ?? "other";
  const isTransposed = attr?.transpose_b?.b === true;
  const isPlain = (kind !== "scale" && kind !== "offset") || (weights.length === 1 && isVector(weights[0]!));
  const hasWeights = weights.length > 0 || kind === "view";
  return { ...step, kind: hasWeights && isPlain && !isTransposed ? kind : "other" };
}

/** `conv:0` is the first output of `conv`. */
function resultOf(input: string): string {
  return input.replace(/:\d+$/, "");
}

function isVector({ tensor }: StoredWeight): boolean {
  return tensor === undefined || tensor.shape.length === 1;
}
