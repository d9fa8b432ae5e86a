import { RuntimeUnavailableError, UsageError } from "../../../base/errors.ts";
import { packError, unpackError } from "../../error-transfer.ts";
import { bitmapOf, isElement } from "../images.ts";
import type { ToPage, ToWorker } from "./messages.ts";
import { type Packer, pack, type RemoteObject, type Unpacker, unpack } from "./packing.ts";

/** A worker that serves verbs, and what is waiting for its answers. */
export class WorkerClient {
  readonly #start: () => Worker;
  readonly #options: () => object;
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  readonly #callbacks = new Map<number, (...args: readonly unknown[]) => unknown>();
  /** Ids of objects in the worker, by their proxies. */
  readonly #ids = new WeakMap<object, number>();
  readonly #proxies = new Map<number, WeakRef<object>>();
  #lastId = 0;

  /**
   * @param start starts the worker, on first use, and again after it has ended unexpectedly.
   * @param options for its platform.
   */
  constructor(start: () => Worker, options: () => object) {
    this.#start = start;
    this.#options = options;
  }

  /**
   * Calls a method of an object in the worker; object 0 has the verbs.
   * @param kept frees signals and callbacks that are used after the call; default: they are freed with its answer.
   */
  async call(method: string, args: readonly unknown[], object = 0, kept?: (() => void)[]): Promise<unknown> {
    const moved = new Set<Transferable>();
    const ready = await Promise.all(args.map((each) => withBitmaps(each, moved)));
    const release = kept ?? [];
    const packer: Packer = {
      reference: (value) => this.#ids.get(value),
      signal: (signal) => {
        const id = this.#nextId();
        const abort = () => this.#post({ kind: "abort", signal: id });
        // Posted after the call.
        if (signal.aborted) queueMicrotask(abort);
        signal.addEventListener("abort", abort);
        release.push(() => signal.removeEventListener("abort", abort));
        return id;
      },
      callback: (callback) => {
        const id = this.#nextId();
        this.#callbacks.set(id, callback);
        release.push(() => this.#callbacks.delete(id));
        return id;
      },
    };
    try {
      const packed = pack(ready, packer) as readonly unknown[];
      return await new Promise((resolve, reject) => {
        const id = this.#nextId();
        this.#post({ kind: "call", id, object, method, args: packed }, moved);
        this.#waiting.set(id, { resolve, reject });
      });
    } catch (cause) {
      if ((cause as Error).name !== "DataCloneError") throw cause;
      throw new UsageError({ where: method, what: "an argument was closed, or its memory given away", cause });
    } finally {
      if (!kept) for (const free of release) free();
      if (method === "dispose" || method === "return") this.#proxies.delete(object);
    }
  }

  /** Ends the worker; the next call starts another one. */
  terminate(): void {
    this.#end("it was ended by the page");
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  #post(message: ToWorker, moved: Set<Transferable> = new Set()): void {
    if (this.#worker === undefined) {
      const worker = this.#start();
      this.#worker = worker;
      worker.addEventListener("message", ({ data }: MessageEvent<ToPage>) => this.#take(data));
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        this.#end(event.message ?? "its script cannot be loaded");
      });
      worker.postMessage({ kind: "start", options: this.#options() } satisfies ToWorker);
    }
    this.#worker.postMessage(message, [...moved]);
  }

  #take(message: ToPage): void {
    if (message.kind === "callback") return void this.#callBack(message);
    if (message.kind === "change") {
      const proxy = this.#proxies.get(message.object)?.deref();
      if (proxy) Object.assign(proxy, unpack(message.fields, this.#unpacker));
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error) waiting?.reject(unpackError(message.error));
    else waiting?.resolve(unpack(message.value, this.#unpacker));
  }

  async #callBack({ id, callback, args }: ToPage & { readonly kind: "callback" }): Promise<void> {
    try {
      const given = unpack(args, this.#unpacker) as readonly unknown[];
      const value = await this.#callbacks.get(callback)?.(...given);
      // Only storage returns something.
      this.#post({ kind: "answer", id, value: value instanceof Uint8Array ? value : undefined });
    } catch (error) {
      this.#post({ kind: "answer", id, error: packError(error) });
    }
  }

  readonly #unpacker: Unpacker = { object: (object) => this.#proxy(object) };

  #proxy({ id, fields, methods, generators }: RemoteObject): object {
    const worker = this.#worker;
    const call = (method: string, args: readonly unknown[], kept?: (() => void)[]): Promise<unknown> => {
      if (this.#worker === worker) return this.call(method, args, id, kept);
      return Promise.reject(ended("it was started again since this was loaded"));
    };
    const proxy: Record<string | symbol, unknown> = { ...(unpack(fields, this.#unpacker) as object) };
    for (const method of methods) proxy[method] = (...args: readonly unknown[]) => call(method, args);
    for (const method of generators) {
      proxy[method] = async function* (...args: readonly unknown[]) {
        const kept: (() => void)[] = [];
        let results: AsyncGenerator<unknown, void, void> | undefined;
        try {
          results = (await call(method, args, kept)) as AsyncGenerator<unknown, void, void>;
          for (let each = await results.next(); !each.done; each = await results.next()) yield each.value;
        } finally {
          for (const free of kept) free();
          await results?.return();
        }
      };
    }
    if (methods.includes("dispose")) proxy[Symbol.asyncDispose] = () => call("dispose", []);
    this.#ids.set(proxy, id);
    this.#proxies.set(id, new WeakRef(proxy));
    return proxy;
  }

  #end(reason: string): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#proxies.clear();
    for (const { reject } of this.#waiting.values()) reject(ended(reason));
    this.#waiting.clear();
  }
}

function ended(reason: string): RuntimeUnavailableError {
  return new RuntimeUnavailableError({
    where: "worker",
    what: `the worker has ended (${reason})`,
    remedy: "Load the model again. If it never starts, serve the worker's script from the page's own origin.",
  });
}

/** Replaces elements of the page by their images, which are moved to the worker. */
async function withBitmaps(value: unknown, moved: Set<Transferable>): Promise<unknown> {
  if (Array.isArray(value)) return Promise.all(value.map((each) => withBitmaps(each, moved)));
  if (typeof value !== "object" || value === null || !isElement(value as never)) return value;
  const bitmap = await bitmapOf(value as never);
  moved.add(bitmap);
  return bitmap;
}
