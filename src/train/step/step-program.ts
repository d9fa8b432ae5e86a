import { RuntimeUnavailableError } from "../../base/errors.ts";
import {
  type Device,
  type DeviceResults,
  deviceFor,
  type OnPlatform,
  type Platform,
  type Session,
  type Tensors,
} from "../../base/platform.ts";
import { compileGraph } from "../../compiler/compile.ts";
import { blockProbe, readBlockSize } from "../../compiler/onnx/blocked.ts";
import type { OpGraph } from "../../graph/ops.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import type { StateTensor } from "./training-state.ts";

/** Inputs of a step. */
interface ProgramFeeds {
  /** Weights, slots and averages by name. */
  readonly state: ReadonlyMap<string, StateTensor>;
  /** Scalars of the update, e.g. learning rates. */
  readonly scalars: Tensors;
  /** Images, targets and dropout masks of each micro-batch. */
  readonly batches: readonly Tensors[];
}

/** A training step in the engine. */
export interface StepProgram extends Pick<Session, "endProfiling" | "dispose"> {
  /**
   * Computes loss, logits and the successor of each entry of the state; changes nothing. Gradients among the results are
   * valid until the next run.
   */
  readonly run: (feeds: ProgramFeeds) => Promise<DeviceResults>;
}

/** Options of loading a graph. */
export interface ProgramOptions extends OnPlatform {
  /** Weights that never change, by name, in the engine's layout. */
  readonly frozen: ReadonlyMap<string, FloatTensor>;
  /** Computes each batch as a whole, for graphs that pass batches on; default false. */
  readonly wholeBatches?: boolean;
}

/**
 * Loads a graph of a training step into the engine. Frozen weights are stored in it, and folded where nothing before them
 * trains, as for inference.
 */
export async function stepSession(
  graph: OpGraph,
  { platform, session, frozen, wholeBatches = false }: ProgramOptions,
): Promise<Session> {
  const device = deviceFor(platform.engine, session);
  const blockSize = await channelBlock(platform, device);
  const isGpu = device !== "cpu" && device !== "wasm";
  const model = compileGraph(graph, frozen, { form: "training", blockSize, isGpu, wholeBatches });
  // Of constant weights the engine still chooses the layout, and fuses what reads them. Elsewhere it finds nothing to gain in
  // this graph, and takes four fifths of the time to load it.
  return platform.engine.createSession(model, { ...session, optimize: isGpu || frozen.size > 0 });
}

/** A step that is one graph. */
export function fusedProgram(session: Session): StepProgram {
  return {
    run: async ({ state, scalars, batches: [batch] }) => {
      const feeds = { ...Object.fromEntries(state), ...scalars, ...batch };
      if (session.runOnDevice) return session.runOnDevice(feeds);
      return { tensors: await session.run(feeds as Tensors), kept: {} };
    },
    endProfiling: () => session.endProfiling(),
    dispose: () => session.dispose(),
  };
}

/**
 * Channels per block in the engine's fastest CPU layout on this machine (16 with AVX-512, 8 with AVX2), found by a probe;
 * undefined if it has no such layout, and on other devices.
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
