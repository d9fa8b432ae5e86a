import { foldBatchNorm } from "../../compiler/fold-batch-norm.ts";
import { lower } from "../../compiler/lower.ts";
import { toOnnx } from "../../compiler/onnx/onnx.ts";
import type { Network } from "../../graph/network.ts";
import type { OpGraph } from "../../graph/ops.ts";
import type { Platform } from "../../platform.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { toEngineWeights } from "../../weights/engine-weights.ts";
import { formulaWeights } from "../../weights/formula.ts";
import type { Weights } from "../../weights/initialize.ts";
import { channelBlock } from "../step/step-program.ts";

/**
 * The ways in which networks reach the engine. `inference`: batch normalization folded into the convolutions, as shipped.
 * `training`: nothing folded and channels in blocks, where the engine has such a layout, as in training steps. `unfolded`:
 * as in model files, operator for operator.
 */
export type VerifyLayout = "inference" | "training" | "unfolded";

/** A graph with the numbers of its parameters, in the engine's layout. */
export interface FilledGraph {
  readonly graph: OpGraph;
  readonly weights: ReadonlyMap<string, FloatTensor>;
}

/** A network with weights from the formula that puts out some of its layers: float32 images in, channels last out. */
export function formulaGraph(network: Network, outputs: readonly string[], batchSize: number): FilledGraph {
  return tappedGraph(network, formulaWeights(network), outputs, batchSize);
}

/** The same with weights of any origin. */
export function tappedGraph(
  network: Network,
  weights: Weights,
  outputs: readonly string[],
  batchSize: number,
): FilledGraph {
  const { graph } = lower(network, { mode: "inference", batchSize, outputs });
  return { graph, weights: toEngineWeights(network, weights) };
}

/** The bytes of the model that the engine runs. */
export async function layOut(
  { graph, weights }: FilledGraph,
  layout: VerifyLayout,
  platform: Platform,
): Promise<Uint8Array> {
  if (layout === "training") return toOnnx(graph, { weights, blockSize: await channelBlock(platform) });
  if (layout === "unfolded") return toOnnx(graph, { weights });
  const folded = foldBatchNorm(graph, weights);
  return toOnnx(folded.graph, { weights: folded.weights, dynamicBatch: true });
}
