import { compile } from "../../compiler/compile.ts";
import { imageInput } from "../../compiler/lower.ts";
import { UsageError } from "../../errors.ts";
import type { Network } from "../../graph/network.ts";
import type { Preprocessing } from "../../graph/preprocessing.ts";
import type { Engine, Session, SessionOptions } from "../../platform.ts";
import type { FloatTensor, Tensor } from "../../tensor/tensor.ts";
import type { Weights } from "../../weights/initialize.ts";
import { WorkQueue } from "../../work-queue.ts";

/** A network with its weights in the engine, ready to answer. Give it back with `dispose()`. */
export class Inference {
  readonly #session: Session;
  readonly #output: string;
  readonly #queue = new WorkQueue();
  #disposal: Promise<void> | undefined;

  constructor(session: Session, output: string) {
    this.#session = session;
    this.#output = output;
  }

  /**
   * Bytes `[N, H, W, C]`, or floats where the network was loaded without preprocessing → its output `[N, …]`, for any N.
   * @throws {UsageError} after `dispose()`.
   */
  async run(images: Tensor): Promise<FloatTensor> {
    this.assertNotDisposed();
    const results = await this.#queue.add(() => this.#session.run({ [imageInput]: images }));
    return results[this.#output] as FloatTensor;
  }

  /** @throws {UsageError} after `dispose()`. */
  assertNotDisposed(): void {
    if (this.#disposal !== undefined) throw disposedError();
  }

  /** Frees the engine's memory after the run under way; doing it again does nothing. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#queue.add(() => this.#session.dispose());
    return this.#disposal;
  }
}

/** Of work for a network that is in the engine no longer. */
export function disposedError(): UsageError {
  return new UsageError({
    where: "network in the engine",
    what: "it has been given back with dispose()",
    remedy: "Load the model again, or dispose of it later.",
  });
}

/**
 * Loads a network with its weights into the engine, batch normalization folded into the convolutions.
 * @param preprocessing makes its input of bytes; without it the network is fed with floats.
 * @throws {WeightsError} the weights are not those of the network.
 * @throws {RuntimeUnavailableError} the engine does not run here.
 */
export async function inferenceSession(
  network: Network,
  weights: Weights,
  preprocessing: Preprocessing | undefined,
  engine: Engine,
  options?: SessionOptions,
): Promise<Inference> {
  const model = compile(network, weights, { form: "inference", preprocessing });
  return new Inference(await engine.createSession(model, options), network.output);
}
