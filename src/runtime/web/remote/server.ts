import { messageOf, RuntimeUnavailableError, UsageError, XceptionError } from "../../../base/errors.ts";
import { packError, unpackError } from "../../error-transfer.ts";
import type { Channel, Reply, ToWorker } from "./messages.ts";
import { type Packer, pack, type RemoteObject, type Unpacker, unpack } from "./packing.ts";

type Methods = Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;

/**
 * Serves objects of this worker to the page.
 * @param verbs the functions of object 0, from the options of the page's first message.
 */
export function serveVerbs(channel: Channel, verbs: (options: object) => object): void {
  const objects = new Map<number, object>();
  const signals = new Map<number, AbortController>();
  /** Signals that running generators still use. */
  const kept = new WeakMap<object, readonly number[]>();
  const callbacks = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  /** Objects with getters, and the values that the page knows. */
  const posted = new Map<object, { readonly id: number; readonly getters: Readonly<Record<string, unknown>> }>();
  let lastId = 0;

  const post = (message: unknown, moved?: Set<Transferable>) => channel.postMessage(message, [...(moved ?? [])]);

  const keep = (object: object): RemoteObject => {
    lastId += 1;
    objects.set(lastId, object);
    const getters = gettersOf(object);
    if (Object.keys(getters).length > 0) posted.set(object, { id: lastId, getters });
    const fields = pack({ ...object, ...getters }, packer()) as RemoteObject["fields"];
    return { id: lastId, fields, ...methodsOf(object) };
  };
  const packer = (moved?: Set<Transferable>): Packer => ({ object: keep, ...(moved && { moved }) });

  /** Tells the page what has changed: the engine of a classifier, for example, whose GPU was lost. */
  const postChanges = (): void => {
    for (const [object, { id, getters }] of posted) {
      const now = gettersOf(object);
      if (Object.keys(now).every((name) => now[name] === getters[name])) continue;
      posted.set(object, { id, getters: now });
      post({ kind: "change", object: id, fields: pack(now, packer()) });
    }
  };

  const callBack = (callback: number, args: readonly unknown[]): Promise<unknown> => {
    lastId += 1;
    const id = lastId;
    const answered = new Promise((resolve, reject) => callbacks.set(id, { resolve, reject }));
    // Copied, not moved: the caller goes on using its arguments.
    post({ kind: "callback", id, callback, args: pack(args, packer()) });
    return answered;
  };

  const call = async ({ id, object, method, args }: ToWorker & { readonly kind: "call" }): Promise<void> => {
    const target = objects.get(object) ?? disposed;
    const own: number[] = [];
    const unpacker: Unpacker = {
      reference: (known) => objects.get(known),
      signal(signal) {
        const controller = new AbortController();
        signals.set(signal, controller);
        own.push(signal);
        return controller.signal;
      },
      callback:
        (callback) =>
        (...given) =>
          callBack(callback, given),
    };
    try {
      const value = await (target as Methods)[method]!(...(unpack(args, unpacker) as unknown[]));
      if (isGenerator(value)) kept.set(value, own.splice(0));
      const moved = new Set<Transferable>();
      postChanges();
      post({ kind: "answer", id, value: pack(value, packer(moved)) }, moved);
    } catch (error) {
      post({ kind: "answer", id, error: packError(whyNotLoaded(error) ?? error) });
    }
    // The last call of a generator.
    if (method === "return") own.push(...(kept.get(target) ?? []));
    if (method === "return" || method === "dispose") {
      posted.delete(target);
      objects.delete(object);
    }
    for (const signal of own) signals.delete(signal);
  };

  const take = ({ id, value, error }: Reply): void => {
    const waiting = callbacks.get(id);
    callbacks.delete(id);
    if (error) waiting?.reject(unpackError(error));
    else waiting?.resolve(unpack(value, {}));
  };

  channel.addEventListener("message", ({ data: message }: MessageEvent<ToWorker>) => {
    if (message.kind === "start") objects.set(0, verbs(message.options));
    else if (message.kind === "call") void call(message);
    else if (message.kind === "abort") signals.get(message.signal)?.abort();
    else take(message);
  });
}

/** Takes the place of objects that were disposed, so that their memory is freed. */
const disposed = new Proxy(
  {},
  {
    get: (_, method) => () => {
      if (method === "dispose") return;
      throw new UsageError({
        where: "model in the worker",
        what: "it was disposed",
        remedy: "Load it again, or dispose of it later.",
      });
    },
  },
);

/** Chromium and Firefox; Safari; webpack. */
const notLoaded = /dynamically imported module|Importing a module script failed|Loading chunk/;

/** The error for a part of this package's code that cannot be loaded; undefined for any other error. */
function whyNotLoaded(cause: unknown): RuntimeUnavailableError | undefined {
  const reason = messageOf(cause);
  if (cause instanceof XceptionError || !notLoaded.test(reason)) return;
  return new RuntimeUnavailableError({
    where: "worker",
    what: `a part of xception-ts cannot be loaded (${reason})`,
    remedy: "Check the connection, then reload the page: the site may have been updated since it was opened.",
    cause,
  });
}

const asyncGenerator = Object.getPrototypeOf(async function* () {});

function isGenerator(value: unknown): value is object {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function methodsOf(object: object): Pick<RemoteObject, "methods" | "generators"> {
  const methods: string[] = [];
  const generators: string[] = [];
  for (const [name, { value }] of membersOf(object)) {
    if (typeof value !== "function" || name === "constructor") continue;
    (Object.getPrototypeOf(value) === asyncGenerator ? generators : methods).push(name);
  }
  return { methods, generators };
}

/** Values of an object's getters, which can change. */
function gettersOf(object: object): Record<string, unknown> {
  const getters = membersOf(object).filter(([, { get }]) => get !== undefined);
  return Object.fromEntries(getters.map(([name]) => [name, (object as Record<string, unknown>)[name]]));
}

function membersOf(object: object): readonly (readonly [string, PropertyDescriptor])[] {
  if (object === null || object === Object.prototype) return [];
  return [...Object.entries(Object.getOwnPropertyDescriptors(object)), ...membersOf(Object.getPrototypeOf(object))];
}
