import { compileGraph } from "../../compiler/compile.ts";
import { imageInput, lower } from "../../compiler/lower.ts";
import type { Network } from "../../graph/network.ts";
import type { OpGraph } from "../../graph/ops.ts";
import { toEngineWeights } from "../../graph/weights.ts";
import type { Platform, SessionOptions, Tensors } from "../../platform.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
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

/** Runs a graph on images, compiled as `layout` says; the training layout is fed with the weights. */
export async function runGraph(
  { graph, weights }: FilledGraph,
  layout: VerifyLayout,
  images: FloatTensor,
  platform: Platform,
  options?: SessionOptions,
): Promise<Tensors> {
  const isTraining = layout === "training";
  const model = isTraining
    ? compileGraph(graph, new Map(), { form: layout, blockSize: await channelBlock(platform) })
    : compileGraph(graph, weights, { form: layout === "unfolded" ? "exact" : layout });
  const session = await platform.engine.createSession(model, options);
  const feeds = { [imageInput]: images, ...(isTraining && Object.fromEntries(weights)) };
  return session.run(feeds).finally(() => session.dispose());
}
