import { foldBatchNorm } from "../../compiler/fold-batch-norm.ts";
import { toOnnx } from "../../compiler/onnx/onnx.ts";
import { cacheLimits } from "../../compiler/split-batch.ts";
import { splitBatchNorm } from "../../compiler/split-batch-norm.ts";
import type { OpGraph } from "../../graph/ops.ts";
import type { DeviceResults, Platform, ProfileEvent, Session, SessionOptions, Tensors } from "../../platform.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { channelBlock } from "./channel-block.ts";
import type { StateTensor } from "./state-memory.ts";

/** What a step gives the engine. */
export interface ProgramFeeds {
  /** Weights, slots and averages by name. */
  readonly state: ReadonlyMap<string, StateTensor>;
  /** Numbers for the update: learning rates and the like. */
  readonly scalars: Tensors;
  /** Images, targets, dropout masks of each micro-batch; one where gradients are not accumulated. */
  readonly batches: readonly Tensors[];
}

/** A training step in the engine. */
export interface StepProgram {
  /**
   * Computes loss, logits and the successor of each entry of the state; changes nothing. Gradients among the results are
   * good until the next run.
   */
  run(feeds: ProgramFeeds): Promise<DeviceResults>;
  endProfiling(): Promise<readonly ProfileEvent[]>;
  dispose(): Promise<void>;
}

/** What a program is compiled with. */
export interface ProgramOptions {
  readonly platform: Platform;
  readonly session?: SessionOptions | undefined;
  /** Weights that never change, by name, in the engine's layout. */
  readonly frozen: ReadonlyMap<string, FloatTensor>;
  /** Compute each batch as a whole, however large: for graphs between which batches are handed on. Default false. */
  readonly wholeBatches?: boolean;
}

/**
 * Loads a graph of a training step into the engine. Frozen weights are stored in it, and folded where nothing before them
 * trains: so the engine does there what it does for inference.
 */
export async function stepSession(
  graph: OpGraph,
  { platform, session, frozen, wholeBatches = false }: ProgramOptions,
): Promise<Session> {
  const device = session?.device;
  const blockSize = await channelBlock(platform, device);
  // Others lack the operator for batch normalization in training, and maxima's places in max pooling.
  const isProcessor = device === undefined || ["cpu", "wasm"].includes(device);
  const runnable = isProcessor ? graph : splitBatchNorm(graph);
  const { graph: folded, weights } =
    frozen.size > 0 ? foldBatchNorm(runnable, frozen) : { graph: runnable, weights: frozen };
  const batchLimits = blockSize === undefined || wholeBatches ? undefined : cacheLimits;
  const form = { blockSize, batchLimits, weights, plainWhereStored: frozen.size > 0, comparesMaxima: !isProcessor };
  return platform.engine.createSession(toOnnx(folded, form), session);
}

/** A step that is one graph. */
export class FusedProgram implements StepProgram {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async run({ state, scalars, batches: [batch] }: ProgramFeeds): Promise<DeviceResults> {
    const feeds = { ...Object.fromEntries(state), ...scalars, ...batch };
    if (this.#session.runOnDevice) return this.#session.runOnDevice(feeds);
    return { tensors: await this.#session.run(feeds as Tensors), kept: {} };
  }

  endProfiling(): Promise<readonly ProfileEvent[]> {
    return this.#session.endProfiling();
  }

  async dispose(): Promise<void> {
    await this.#session.dispose();
  }
}
