import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { RuntimeUnavailableError } from "../errors.ts";
import type { ProfileEvent, Session, SessionOptions, Tensors } from "../platform.ts";
import type { DataType, Tensor } from "../tensor/tensor.ts";

/**
 * Loads an ONNX model into ONNX Runtime's CPU provider.
 * @throws {RuntimeUnavailableError} the engine refuses the model; its own words are in the message.
 */
export async function createSession(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const profileFolder = options.profile ? await mkdtemp(join(tmpdir(), "xception-profile-")) : undefined;
  const settings: ort.InferenceSession.SessionOptions = {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    intraOpNumThreads: options.threads ?? availableParallelism(),
    // Errors only, and these come back as exceptions: its warnings are about its own optimizations.
    logSeverityLevel: 3,
    ...(profileFolder && { enableProfiling: true, profileFilePrefix: join(profileFolder, "profile") }),
  };
  const session = await ort.InferenceSession.create(model, settings).catch((cause: unknown) => {
    throw new RuntimeUnavailableError({
      where: "ONNX Runtime",
      what: `it cannot load the model: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    });
  });
  return new NodeSession(session, profileFolder);
}

class NodeSession implements Session {
  readonly #session: ort.InferenceSession;
  readonly #profileFolder: string | undefined;

  constructor(session: ort.InferenceSession, profileFolder: string | undefined) {
    this.#session = session;
    this.#profileFolder = profileFolder;
  }

  async run(feeds: Tensors): Promise<Tensors> {
    const results = await this.#session.run(mapValues(feeds, toEngine));
    return mapValues(results, fromEngine);
  }

  async endProfiling(): Promise<readonly ProfileEvent[]> {
    if (this.#profileFolder === undefined) return [];
    this.#session.endProfiling();
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
    await this.#session.release();
  }
}

/** What ONNX Runtime writes into its profile, in the format of Chrome's tracer; durations in microseconds. */
interface EngineEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

function toEngine({ type, data, shape }: Tensor): ort.Tensor {
  return new ort.Tensor(type as "float32", data as Float32Array, shape);
}

function fromEngine({ type, data, dims }: ort.Tensor): Tensor {
  return { type: type as DataType, shape: dims, data: data as Float32Array } as Tensor;
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
