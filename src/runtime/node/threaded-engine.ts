import { RuntimeUnavailableError } from "../../base/errors.ts";
import type { Engine, Session, SessionOptions, Tensors } from "../../base/platform.ts";
import { type PackedError, unpackError } from "../error-transfer.ts";
import { startModule } from "./thread.ts";

/** An order to the engine's thread. */
export type ThreadOrder =
  | { readonly load: Uint8Array; readonly options: SessionOptions }
  | { readonly run: Tensors }
  | { readonly dispose: true };

/** The thread's answer to an order. */
export type ThreadAnswer =
  | PackedError
  | { readonly tensors?: Tensors; readonly outputShapes?: Session["outputShapes"] };

/** A session whose thread has ended, so that its model must be loaded again. */
export class EngineStoppedError extends RuntimeUnavailableError {}

/**
 * An engine whose sessions each have a thread of their own. ONNX Runtime's binding for Node computes on the thread that
 * calls it, so without this nothing else happens in a program while a network runs. Isolated sessions already run elsewhere.
 */
export function threadedEngine(engine: Engine): Engine {
  return {
    defaultDevice: engine.defaultDevice,
    listDevices: () => engine.listDevices(),
    createSession: (model, options = {}) =>
      options.isolation ? engine.createSession(model, options) : createThreadedSession(model, options),
  };
}

async function createThreadedSession(
  model: Uint8Array,
  { signal: _, compileFor: __, ...options }: SessionOptions,
): Promise<Session> {
  const worker = startModule("engine-thread");
  /** Orders that are not answered yet, oldest first: the thread answers in their order. */
  const waiting: { readonly resolve: (answer: ThreadAnswer) => void; readonly reject: (error: Error) => void }[] = [];
  let ended: Error | undefined;
  const end = (cause: Error): void => {
    ended ??= new EngineStoppedError({
      where: "ONNX Runtime",
      what: `its thread has ended (${cause.message})`,
      remedy: "Load the model again.",
      cause,
    });
    for (const { reject } of waiting.splice(0)) reject(ended);
  };
  worker.on("message", (answer: ThreadAnswer) => {
    waiting.shift()!.resolve(answer);
    // An idle session does not keep the program from exiting.
    if (waiting.length === 0) worker.unref();
  });
  worker.on("error", end);
  worker.on("exit", () => end(new Error("it has exited")));
  /** @throws what the thread throws. */
  const ask = async (order: ThreadOrder) => {
    if (ended) throw ended;
    worker.ref();
    const answer = await new Promise<ThreadAnswer>((resolve, reject) => {
      waiting.push({ resolve, reject });
      worker.postMessage(order);
    });
    if ("failure" in answer) throw unpackError(answer);
    return answer;
  };
  const { outputShapes } = await ask({ load: model, options });
  let disposal: Promise<void> | undefined;
  return {
    outputShapes,
    run: async (feeds) => (await ask({ run: feeds })).tensors!,
    // Profiles stay in the thread.
    endProfiling: async () => [],
    /** Ends the thread once its work is done; ending it during a run would end the whole process. */
    dispose() {
      disposal ??= ask({ dispose: true }).then(
        () => {},
        (error) => {
          if (error !== ended) throw error;
        },
      );
      return disposal;
    },
  };
}
