import { RuntimeUnavailableError } from "../../base/errors.ts";
import type {
  Device,
  DeviceResults,
  Platform,
  ProfileEvent,
  Session,
  SessionOptions,
  Tensors,
} from "../../base/platform.ts";
import { compileGraph } from "../../compiler/compile.ts";
import { blockProbe, readBlockSize } from "../../compiler/onnx/blocked.ts";
import type { OpGraph } from "../../graph/ops.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import type { StateTensor } from "./training-state.ts";

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
  const { device = platform.engine.defaultDevice } = session ?? {};
  const blockSize = await channelBlock(platform, device);
  const isGpu = device !== "cpu" && device !== "wasm";
  const model = compileGraph(graph, frozen, { form: "training", blockSize, isGpu, wholeBatches });
  return platform.engine.createSession(model, session);
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

/**
 * Channels to a block in the engine's fastest CPU layout on this machine (16 with AVX-512, 8 with AVX2), found by asking
 * the engine; undefined where it has no such layout, and on other devices.
 */
export async function channelBlock(
  { engine }: Platform,
  device: Device = engine.defaultDevice,
): Promise<number | undefined> {
  if (device !== "cpu") return undefined;
  const { model, input } = blockProbe();
  try {
    const session = await engine.createSession(model, { device, threads: 1 });
    const { blocks } = await session.run({ image: floatTensor([1, 64, 1, 2], input) });
    await session.dispose();
    return readBlockSize(blocks!.data as Float32Array);
  } catch (error) {
    if (error instanceof RuntimeUnavailableError) return undefined;
    throw error;
  }
}
