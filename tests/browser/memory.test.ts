import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { serveVerbs } from "../../src/runtime/web/remote/server.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What a classifier is to the worker: an object with methods, and large. */
class Large {
  readonly bytes = new Uint8Array(1000);
  size(): number {
    return this.bytes.length;
  }
  async dispose(): Promise<void> {}
}

test("the worker frees a disposed object, and says so when it is used again", async () => {
  const answers = new Map<number, Record<string, unknown>>();
  let send: (event: { readonly data: unknown }) => void = () => {};
  const channel = {
    postMessage: (message: unknown) => void answers.set((message as { id: number }).id, message as never),
    addEventListener: (_: string, listener: typeof send) => {
      send = listener;
    },
  };
  let made: WeakRef<Large> | undefined;
  const load = () => {
    const large = new Large();
    made = new WeakRef(large);
    return large;
  };
  serveVerbs(channel as never, () => ({ load }));
  send({ data: { kind: "start", options: {} } });
  let id = 0;
  const call = async (method: string, object: number) => {
    id += 1;
    send({ data: { kind: "call", id, object, method, args: [] } });
    await expect.poll(() => answers.has(id)).toBe(true);
    const { value, error } = answers.get(id)!;
    answers.clear();
    return error ?? value;
  };
  expect(await call("load", 0)).toMatchObject({ "xception-ts": "object", object: { id: 1 } });
  expect(await call("size", 1)).toBe(1000);
  expect(await call("dispose", 1)).toBeUndefined();
  await expect
    .poll(() => {
      collectGarbage();
      return made!.deref() === undefined;
    })
    .toBe(true);
  expect(await call("size", 1)).toMatchObject({
    failure: "USAGE",
    parts: {
      where: "model in the worker",
      what: "it was disposed",
      remedy: "Load it again, or dispose of it later.",
    },
  });
  expect(await call("dispose", 1)).toBeUndefined();
});
