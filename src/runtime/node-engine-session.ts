import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../errors.ts";
import type { DeviceFeeds, DeviceResults, DeviceTensor, ProfileEvent, Session, Tensors } from "../platform.ts";
import { fromEngineTensors, toEngineTensors } from "./engine-tensors.ts";
import type { InferenceSession, NativeEngine, Tensor } from "./node-engine.ts";

/** A session of the engine's native build. */
export class NodeSession implements Session {
  protected readonly engine: NativeEngine;
  protected readonly session: InferenceSession;
  readonly #profileFolder: string | undefined;

  constructor(engine: NativeEngine, session: InferenceSession, profileFolder: string | undefined) {
    this.engine = engine;
    this.session = session;
    this.#profileFolder = profileFolder;
  }

  get outputShapes(): ReadonlyMap<string, readonly (number | string)[]> {
    const { outputMetadata } = this.session;
    return new Map(outputMetadata.flatMap((each) => (each.isTensor ? [[each.name, each.shape]] : [])));
  }

  async run(feeds: Tensors): Promise<Tensors> {
    return fromEngineTensors(await this.session.run(toEngineTensors(feeds, this.engine.Tensor)));
  }

  async endProfiling(): Promise<readonly ProfileEvent[]> {
    if (this.#profileFolder === undefined) return [];
    this.session.endProfiling();
    const [file] = await readdir(this.#profileFolder);
    const events: EngineEvent[] = JSON.parse(await readFile(join(this.#profileFolder, file!), "utf8"));
    await rm(this.#profileFolder, { recursive: true });
    return events
      .filter(({ cat, name }) => cat === "Node" && name.endsWith("_kernel_time"))
      .map(({ name, dur, args }) => ({
        operator: args?.op_name ?? "",
        node: name.slice(0, -"_kernel_time".length),
        durationMs: dur / 1000,
      }));
  }

  async dispose(): Promise<void> {
    await this.session.release();
  }
}

/** What ONNX Runtime writes into its profile, in the format of Chrome's tracer; durations in microseconds. */
interface EngineEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** A session on WebGPU, whose results can stay in buffers there. */
export class DeviceSession extends NodeSession {
  async runOnDevice(feeds: DeviceFeeds): Promise<DeviceResults> {
    const engineFeeds = Object.entries(feeds).map(([name, tensor]) => [name, this.#engineFeed(name, tensor)] as const);
    const results = Object.entries(await this.session.run(Object.fromEntries(engineFeeds)));
    const isKept = ([, { location }]: (typeof results)[number]) => location === "gpu-buffer";
    return {
      tensors: fromEngineTensors(Object.fromEntries(results.filter((result) => !isKept(result)))),
      kept: Object.fromEntries(results.filter(isKept).map(([name, tensor]) => [name, new GpuTensor(tensor)])),
    };
  }

  #engineFeed(name: string, tensor: DeviceFeeds[string]): Tensor {
    if (tensor instanceof GpuTensor) return tensor.tensor;
    if ("device" in tensor) {
      throw new UsageError({
        where: `input "${name}"`,
        what: "its tensor lies on another device",
        received: tensor.device,
        expected: "webgpu",
      });
    }
    return toEngineTensors({ tensor }, this.engine.Tensor).tensor!;
  }
}

/** Not to be read by the binding's own `getData`, which ends the process (onnxruntime-node 1.30). */
class GpuTensor implements DeviceTensor {
  readonly device = "webgpu";
  readonly tensor: Tensor;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
  }

  get shape(): readonly number[] {
    return this.tensor.dims;
  }

  dispose(): void {
    this.tensor.dispose();
  }
}
