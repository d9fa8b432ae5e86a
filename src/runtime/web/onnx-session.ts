import type * as Ort from "onnxruntime-web/wasm";
import { messageOf, RuntimeUnavailableError } from "../../base/errors.ts";
import { WorkQueue } from "../../base/work-queue.ts";
import { fromEngineTensors, toEngineTensors } from "../engine-tensors.ts";
import type { ImageInput, ImageSession } from "../wasm/session.ts";

/** One of ONNX Runtime's builds for browsers. */
export type OrtBuild = Pick<typeof Ort, "InferenceSession" | "Tensor" | "env">;

/**
 * Loads an ONNX model into a build of ONNX Runtime.
 * @param queue runs one thing at a time, as the build needs it; default: one run of this session.
 * @throws {RuntimeUnavailableError} the build does not load, or it rejects the model; the message includes its own.
 */
export async function openOnnxSession(
  build: OrtBuild,
  model: Uint8Array,
  settings: Ort.InferenceSession.SessionOptions,
  queue = new WorkQueue(),
): Promise<ImageSession> {
  const create = () => build.InferenceSession.create(model, { ...settings, logSeverityLevel: 3 });
  const session = await queue.add(create).catch((cause: unknown) => {
    throw notOpened(cause);
  });
  return {
    imageInput: imageInputOf(session),
    async run(feeds) {
      const given = toEngineTensors(feeds, build.Tensor);
      return fromEngineTensors(await queue.add(() => session.run(given)));
    },
    // The builds for browsers only write their profile to the console: there are no events to return.
    endProfiling: async () => [],
    dispose: () => queue.add(() => session.release()),
  };
}

function notOpened(cause: unknown): RuntimeUnavailableError {
  const where = "ONNX Runtime in WebAssembly";
  const reason = messageOf(cause);
  // The build does not try a second time.
  if (/no available backend/.test(reason)) {
    const remedy = "Check the connection and the server, then reload the page.";
    return new RuntimeUnavailableError({ where, what: "its files cannot be loaded", remedy, cause });
  }
  return new RuntimeUnavailableError({ where, what: `it cannot load the model: ${reason}`, cause });
}

/** Its input, if there is one, and its size is fixed but for the batch. */
function imageInputOf({ inputMetadata: [only, ...others] }: Ort.InferenceSession): ImageInput | undefined {
  if (!only?.isTensor || others.length > 0 || (only.type !== "uint8" && only.type !== "float32")) return undefined;
  const { name, type } = only;
  const [, ...image] = only.shape;
  return image.every((size) => typeof size === "number") ? { name, type, shape: [1, ...image] } : undefined;
}

/** Version of a build. */
export function versionOf({ env }: OrtBuild): string {
  return env.versions.web ?? env.versions.common;
}
