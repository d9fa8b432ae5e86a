import * as ort from "onnxruntime-web/wasm";
import { RuntimeUnavailableError } from "../../base/errors.ts";
import type { EngineReport, ProfileEvent, Session, SessionOptions, Tensors } from "../../base/platform.ts";
import { WorkQueue } from "../../base/work-queue.ts";
import { fromEngineTensors, toEngineTensors } from "../engine-tensors.ts";

/**
 * Loads an ONNX model into ONNX Runtime's WebAssembly build, in a browser or in Node.
 * @param options `threads` only applies to the first session: the build starts its threads once. More than one needs a
 * page that is isolated from other origins.
 * @param folder URL of the folder with the build's files; default: beside this module.
 * @throws {RuntimeUnavailableError} another device is requested, the build does not load, or it rejects the model; the
 * message includes the engine's own.
 */
export async function createWebSession(
  model: Uint8Array,
  options: SessionOptions = {},
  folder?: string,
): Promise<WebSession> {
  const { device = "wasm", threads = 1, optimize = true } = options;
  if (device !== "wasm") {
    throw new RuntimeUnavailableError({
      where: `device "${device}"`,
      what: "ONNX Runtime's WebAssembly build does not compute on it",
      expected: "wasm",
    });
  }
  ort.env.wasm.numThreads = threads;
  if (folder !== undefined) ort.env.wasm.wasmPaths = folder;
  const settings = {
    executionProviders: ["wasm"],
    graphOptimizationLevel: optimize ? "all" : "disabled",
    logSeverityLevel: 3,
  } as const;
  const session = await ort.InferenceSession.create(model, settings).catch((cause: unknown) => {
    throw new RuntimeUnavailableError({
      where: "ONNX Runtime in WebAssembly",
      what: `it cannot load the model: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    });
  });
  return new WebSession(session);
}

/** A session of ONNX Runtime's WebAssembly build. */
export class WebSession implements Session {
  report?: EngineReport;
  readonly #session: ort.InferenceSession;
  /** The build supports one run at a time. */
  readonly #queue = new WorkQueue();

  constructor(session: ort.InferenceSession) {
    this.#session = session;
  }

  /** Name and shape of its input, if it is one batch of bytes of fixed size, with N = 1. */
  get imageInput(): { readonly name: string; readonly shape: readonly number[] } | undefined {
    const [only, ...others] = this.#session.inputMetadata;
    if (!only?.isTensor || only.type !== "uint8" || others.length > 0) return undefined;
    const [, ...image] = only.shape;
    return image.every((size) => typeof size === "number") ? { name: only.name, shape: [1, ...image] } : undefined;
  }

  async run(feeds: Tensors): Promise<Tensors> {
    return fromEngineTensors(await this.#queue.add(() => this.#session.run(toEngineTensors(feeds, ort.Tensor))));
  }

  /** The WebAssembly build only writes its profile to the console: there are no events to return. */
  async endProfiling(): Promise<readonly ProfileEvent[]> {
    return [];
  }

  dispose(): Promise<void> {
    return this.#queue.add(() => this.#session.release());
  }
}

/** Version of the engine. */
export function webEngineVersion(): string {
  return ort.env.versions.web ?? ort.env.versions.common;
}
