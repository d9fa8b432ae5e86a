import { compileGraph } from "../../compiler/compile.ts";
import type { FoldedGraph } from "../../compiler/fold-batch-norm.ts";
import type { Quantization } from "../../compiler/quantize/quantization.ts";
import { type IntegerLayer, integerLayers } from "../../compiler/quantize/quantize.ts";
import type { Network } from "../../graph/network.ts";
import { blocksOf } from "../../models/parts.ts";
import type { BlockSensitivity, QuantizedBlock } from "../../report/quantization.ts";
import { type AnswerOptions, answersOf, compareAnswers } from "./answers.ts";
import type { ComputedModel, QuantizationImage } from "./calibration.ts";

/** The layers that can be computed with integers, block by block. */
function integerBlocks(network: Network, layers: readonly IntegerLayer[]): readonly QuantizedBlock[] {
  const blockOf = blocksOf(network);
  const blocks = new Map<string, string[]>();
  for (const { layer } of layers) {
    const name = blockOf.get(layer) ?? layer;
    const members = blocks.get(name) ?? [];
    // A separable convolution is one layer with two kernels.
    if (!members.includes(layer)) members.push(layer);
    blocks.set(name, members);
  }
  return [...blocks].map(([name, members]) => ({ name, layers: members }));
}

/** Options of {@link rankBlocks}. */
interface RankOptions extends Omit<AnswerOptions, "onProgress"> {
  /** Called after each block. */
  readonly onProgress: (done: number, total: number) => void;
}

/**
 * Ranks the blocks of a network by the damage that each one does if it alone is computed with integers, worst first.
 * @param folded the network's graph, see `foldedGraph`.
 */
export async function rankBlocks(
  model: ComputedModel,
  folded: FoldedGraph,
  quantization: Quantization,
  images: readonly QuantizationImage[],
  { onProgress, ...options }: RankOptions,
): Promise<readonly BlockSensitivity[]> {
  const layers = integerLayers(folded.graph);
  const blocks = integerBlocks(model.network, layers);
  const compileWith = (floatLayers: readonly string[]) => {
    const form = { form: "int8", dynamicBatch: true, quantization: { ...quantization, floatLayers } } as const;
    return compileGraph(folded.graph, folded.weights, form);
  };
  const all = layers.map(({ layer }) => layer);
  const before = await answersOf(model, compileWith(all), images, options);
  const ranked: BlockSensitivity[] = [];
  for (const block of blocks) {
    const others = all.filter((layer) => !block.layers.includes(layer));
    const after = await answersOf(model, compileWith(others), images, options);
    ranked.push({ ...block, difference: compareAnswers(before, after, images).meanDifference });
    onProgress(ranked.length, blocks.length);
  }
  return ranked.sort((a, b) => b.difference - a.difference);
}
