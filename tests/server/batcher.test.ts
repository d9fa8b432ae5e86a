import { describe, expect, it } from "vitest";
import { Batcher, type BatcherSettings, type BatchRequest } from "../../apps/server/batcher.ts";
import { serveSettings } from "../../apps/server/settings.ts";

/** A batcher whose runs wait until they are let go; it doubles numbers. */
function heldBatcher(settings: Partial<BatcherSettings> = {}) {
  const runs: number[][] = [];
  const open: (() => void)[] = [];
  const batcher = new Batcher<number, number>(async (rows) => {
    runs.push([...rows]);
    await new Promise<void>((resolve) => open.push(resolve));
    return rows.map((row) => 2 * row);
  }, serveSettings(settings));
  const add = (rows: readonly number[], more: Partial<BatchRequest<number>> = {}) => {
    return batcher.add({ count: rows.length, prepare: async () => rows, ...more });
  };
  /** Lets the oldest run go, once it has started. */
  const release = async () => {
    while (open.length === 0) await turn();
    open.shift()!();
  };
  return { batcher, runs, add, release };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("dynamic batching", () => {
  it("runs what has gathered meanwhile, up to the largest batch, each request's rows together", async () => {
    const { runs, add, release } = heldBatcher({ maxBatchSize: 4, decoders: 9 });
    const replies = [[1], [2], [3, 4], [5, 6], [7]].map((rows) => add(rows));
    for (let run = 0; run < 3; run++) await release();
    expect((await Promise.all(replies)).map(({ results }) => results)).toEqual([[2], [4], [6, 8], [10, 12], [14]]);
    expect(runs).toEqual([[1], [2, 3, 4], [5, 6, 7]]);
  });

  it("takes timeouts that are longer than Node's timers", async () => {
    const { add, release } = heldBatcher();
    const reply = add([1], { timeoutMicroseconds: 365 * 86_400 * 1e6 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await release();
    expect((await reply).results).toEqual([2]);
  });

  it("runs as many batches at a time as there are instances", async () => {
    const { batcher, runs, add, release } = heldBatcher({ maxBatchSize: 1, instanceCount: 2, decoders: 9 });
    const replies = [[1], [2], [3]].map((rows) => add(rows));
    while (runs.length < 2) await turn();
    for (let each = 0; each < 5; each++) await turn();
    expect([runs, batcher.pending]).toEqual([[[1], [2]], 1]);
    const idle = batcher.idle();
    for (let run = 0; run < 3; run++) await release();
    await idle;
    expect((await Promise.all(replies)).map(({ results }) => results)).toEqual([[2], [4], [6]]);
    expect(runs).toEqual([[1], [2], [3]]);
  });

  it("waits for a preferred size, and no longer than the delay", async () => {
    const { runs, add, release } = heldBatcher({
      maxBatchSize: 8,
      preferredBatchSize: [2],
      maxQueueDelayMicroseconds: 200_000,
      decoders: 9,
    });
    const first = add([1]);
    for (let each = 0; each < 5; each++) await turn();
    expect(runs).toEqual([]);
    const second = add([2]);
    await release();
    expect(runs).toEqual([[1, 2]]);
    await Promise.all([first, second]);
    const alone = add([3]);
    await release();
    expect((await alone).queueMs).toBeGreaterThanOrEqual(199);
    expect(runs[1]).toEqual([3]);
  });

  it("forms batches of preferred sizes, up to the largest of them; a larger request runs alone", async () => {
    const { runs, add, release } = heldBatcher({ preferredBatchSize: [2, 4], decoders: 99 });
    const replies = [[1], [2], [3], [4], [5], [6], [7], [8, 9, 10, 11, 12], [13]].map((rows) => add(rows));
    for (let run = 0; run < 5; run++) await release();
    await Promise.all(replies);
    expect(runs).toEqual([[1], [2, 3, 4, 5], [6, 7], [8, 9, 10, 11, 12], [13]]);
    const single = heldBatcher({ preferredBatchSize: [1], decoders: 99 });
    const alone = [[1], [2], [3, 4], [5]].map((rows) => single.add(rows));
    for (let run = 0; run < 4; run++) await single.release();
    await Promise.all(alone);
    expect(single.runs).toEqual([[1], [2], [3, 4], [5]]);
  });

  it("runs higher priorities first", async () => {
    const { runs, add, release } = heldBatcher({ maxBatchSize: 1, priorityLevels: 3, decoders: 9 });
    const replies = [
      add([1]),
      add([2]),
      add([3], { priority: 1 }),
      add([4], { priority: 2 }),
      add([5], { priority: 99 }),
    ];
    for (let run = 0; run < 5; run++) await release();
    await Promise.all(replies);
    // The first one was decoded before the others arrived.
    expect(runs.flat()).toEqual([1, 3, 4, 2, 5]);
  });

  it("decodes in a bounded pool, and only as far ahead as the engine needs", async () => {
    const { batcher, add, release } = heldBatcher({ maxBatchSize: 2, decoders: 2 });
    let [decoding, most, decoded] = [0, 0, 0];
    const prepare = async () => {
      most = Math.max(most, ++decoding);
      await turn();
      decoding--;
      return [++decoded];
    };
    const replies = Array.from({ length: 12 }, () => add([0], { prepare }));
    for (let each = 0; each < 30; each++) await turn();
    // A batch that runs, and twice as many rows for the next ones.
    expect([most, batcher.pending]).toEqual([2, 11]);
    expect(decoded).toBeLessThanOrEqual(6);
    const all = Promise.all(replies);
    let isDone = false;
    void all.then(() => {
      isDone = true;
    });
    while (!isDone) {
      await release();
      for (let each = 0; each < 5; each++) await turn();
    }
    expect(decoded).toBe(12);
  });
});

describe("what a batcher refuses", () => {
  it("too many images in one request, and too many requests", async () => {
    const { add, release } = heldBatcher({ maxBatchSize: 1, maxQueueSize: 2 });
    await expect(add([1, 2])).rejects.toThrow(
      "batch: it has too many images; received 2; expected at most 1 in one request.",
    );
    const running = add([1]);
    for (let each = 0; each < 5; each++) await turn();
    const waiting = [add([2]), add([3])];
    await expect(add([4])).rejects.toMatchObject({
      status: 429,
      retryAfterSeconds: 1,
      message: 'queue: it is full; received "2 waiting requests"; expected fewer than 2. Try again later.',
    });
    for (let run = 0; run < 3; run++) await release();
    await Promise.all([running, ...waiting]);
  });

  it("at once what would not be answered in time, judged by earlier runs", async () => {
    const slow = new Batcher<number, number>(
      async (rows) => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        return rows;
      },
      serveSettings({ maxBatchSize: 1 }),
    );
    const add = (timeoutMicroseconds: number) => slow.add({ count: 1, prepare: async () => [1], timeoutMicroseconds });
    await add(60_000_000);
    const waiting = Array.from({ length: 5 }, () => add(60_000_000));
    await expect(add(20_000)).rejects.toMatchObject({
      status: 429,
      message: expect.stringMatching(
        /^queue: it is too long .*received "a wait of about \d+ ms"; expected at most 20 ms/,
      ),
    });
    await Promise.all(waiting);
  });

  it("not what comes after a pause, whoever left before it", async () => {
    const quick = new Batcher<number, number>(async (rows) => rows, serveSettings({ maxBatchSize: 1, decoders: 2 }));
    const add = (more: Partial<BatchRequest<number>> = {}) => {
      return quick.add({ count: 1, prepare: async () => [1], ...more });
    };
    const held = (signal?: AbortSignal) => {
      let decoded = () => {};
      const prepare = () => new Promise<number[]>((resolve) => (decoded = () => resolve([1])));
      const reply = add({ prepare, signal });
      return { reply, decoded: () => decoded() };
    };
    const leaving = new AbortController();
    const left = held(leaving.signal);
    await add();
    leaving.abort();
    await expect(left.reply).rejects.toThrow("the client closed the connection");
    left.decoded();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await add();
    const before = held();
    // A slow machine may answer too late (504), but must not expect that from the start (429).
    const reply = await add({ timeoutMicroseconds: 50_000 }).catch((error: unknown) => error);
    expect(reply).not.toMatchObject({ status: 429 });
    before.decoded();
    await before.reply;
  });

  it("what waits longer than its timeout", async () => {
    const { add, release, runs } = heldBatcher({ maxBatchSize: 1 });
    const running = add([1]);
    await expect(add([2], { timeoutMicroseconds: 1000 })).rejects.toMatchObject({
      status: 504,
      message:
        "request: it was not answered in time; expected an answer within 1 ms. Try again later, or state a longer timeout.",
    });
    await release();
    await running;
    expect(runs).toEqual([[1]]);
  });

  it("work of clients that are gone, decoded or not, but not what is running", async () => {
    const { batcher, add, release, runs } = heldBatcher({ maxBatchSize: 1, decoders: 1 });
    const clients = Array.from({ length: 4 }, () => new AbortController());
    const replies = clients.map(({ signal }, index) => add([index], { signal }).catch((error: Error) => error));
    while (runs.length === 0) await turn();
    for (const client of clients.slice(0, 3)) client.abort();
    expect(batcher.pending).toBe(1);
    await release();
    await release();
    const [first, second, third, fourth] = await Promise.all(replies);
    expect([first, fourth]).toEqual([
      expect.objectContaining({ results: [0] }),
      expect.objectContaining({ results: [6] }),
    ]);
    for (const gone of [second, third]) {
      expect((gone as Error).message).toBe("request: the client closed the connection.");
    }
    expect(runs).toEqual([[0], [3]]);
  });

  it("everything not running, when it is told to", async () => {
    const { batcher, add, release } = heldBatcher({ maxBatchSize: 1 });
    const [running, waiting] = [add([1]), add([2])];
    for (let each = 0; each < 5; each++) await turn();
    batcher.refuseAll(new Error("stop"));
    await expect(waiting).rejects.toThrow("stop");
    await release();
    expect((await running).results).toEqual([2]);
    await batcher.idle();
  });

  it("only the request whose rows cannot be decoded", async () => {
    const { add, release } = heldBatcher();
    const good = add([1]);
    await expect(add([2], { prepare: () => Promise.reject(new Error("damaged")) })).rejects.toThrow("damaged");
    await release();
    expect((await good).results).toEqual([2]);
  });

  it("only the requests of a batch whose run fails", async () => {
    let runs = 0;
    const batcher = new Batcher<number, number>(
      async (rows) => {
        if (runs++ === 0) throw new Error("out of memory");
        return rows;
      },
      serveSettings({ maxBatchSize: 1 }),
    );
    const [first, second] = [1, 2].map((row) => batcher.add({ count: 1, prepare: async () => [row] }));
    await expect(first).rejects.toThrow("out of memory");
    expect((await second!).results).toEqual([2]);
  });
});
