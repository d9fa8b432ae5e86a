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
  const session = new ThreadedSession();
  const { outputShapes } = await session.ask({ load: model, options });
  return Object.assign(session, { outputShapes });
}

class ThreadedSession implements Session {
  readonly #worker = startModule("engine-thread");
  /** Orders that are not answered yet, oldest first: the thread answers in their order. */
  readonly #waiting: { readonly resolve: (answer: ThreadAnswer) => void; readonly reject: (error: Error) => void }[] =
    [];
  #ended: Error | undefined;
  #disposal: Promise<void> | undefined;

  constructor() {
    this.#worker.on("message", (answer: ThreadAnswer) => {
      this.#waiting.shift()!.resolve(answer);
      // An idle session does not keep the program from exiting.
      if (this.#waiting.length === 0) this.#worker.unref();
    });
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("exit", () => this.#end(new Error("it has exited")));
  }

  /** @throws what the thread throws. */
  async ask(order: ThreadOrder) {
    if (this.#ended) throw this.#ended;
    this.#worker.ref();
    const answer = await new Promise<ThreadAnswer>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(order);
    });
    if ("failure" in answer) throw unpackError(answer);
    return answer;
  }

  async run(feeds: Tensors): Promise<Tensors> {
    return (await this.ask({ run: feeds })).tensors!;
  }

  /** Profiles stay in the thread. */
  async endProfiling(): Promise<readonly []> {
    return [];
  }

  /** Ends the thread once its work is done; ending it during a run would end the whole process. */
  dispose(): Promise<void> {
    this.#disposal ??= this.ask({ dispose: true }).then(
      () => {},
      (error) => {
        if (error !== this.#ended) throw error;
      },
    );
    return this.#disposal;
  }

  #end(cause: Error): void {
    this.#ended ??= new EngineStoppedError({
      where: "ONNX Runtime",
      what: `its thread has ended (${cause.message})`,
      remedy: "Load the model again.",
      cause,
    });
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}
