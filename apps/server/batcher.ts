import { AbortedError } from "../../src/base/errors.ts";
import { RefusedError } from "./exchange.ts";
import type { BatchSettings, ServeSettings } from "./settings.ts";

/** Work of one request: rows to be decoded and then run with those of other requests. */
export interface BatchRequest<Row> {
  /** Number of rows. */
  readonly count: number;
  /** Decodes the rows. */
  readonly prepare: () => Promise<readonly Row[]>;
  /** Time in which it must run, in microseconds; default: the settings'. */
  readonly timeoutMicroseconds?: number | undefined;
  /** From 1, the first to run; default: the last. */
  readonly priority?: number | undefined;
  /** Drops the work unless it is already running. */
  readonly signal?: AbortSignal | undefined;
}

/** Results of a request's rows, and its times in milliseconds. */
export interface BatchResult<Result> {
  readonly results: readonly Result[];
  /** Waiting for decoders and for the engine. */
  readonly queueMs: number;
  readonly decodeMs: number;
  /** The run of the batch in which it was. */
  readonly computeMs: number;
}

/** Node's timers end at once after a longer time, of 25 days. */
export const longestMs = 2 ** 31 - 1;

/** The settings that a batcher heeds. */
export type BatcherSettings = BatchSettings & Pick<ServeSettings, "decoders">;

interface Job<Row, Result> extends BatchRequest<Row> {
  readonly rank: number;
  readonly acceptedMs: number;
  decodeMs: number;
  /** When its rows were decoded. */
  readyMs: number;
  rows: readonly Row[];
  isSettled: boolean;
  readonly settle: (outcome: BatchResult<Result> | Error) => void;
}

/**
 * Dynamic batching: decodes the rows of requests in a bounded pool and runs those that are ready together. Requests that
 * cannot be answered in time are refused as early as possible.
 */
export class Batcher<Row, Result> {
  readonly #run: (rows: readonly Row[]) => Promise<readonly Result[]>;
  readonly #settings: BatcherSettings;
  /** Most rows of different requests in one run. */
  readonly #mostRows: number;
  readonly #onRun: (rows: number, computeMs: number) => void;
  /** By priority, oldest first. */
  readonly #waiting: Job<Row, Result>[] = [];
  readonly #ready: Job<Row, Result>[] = [];
  #decoding = 0;
  #runs = 0;
  /** Rows in these runs. */
  #running = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Rows that are decoded or being decoded. */
  #aheadRows = 0;
  /** Moving average of the time that a row costs while requests wait: a run, and what delays the next one. */
  #rowMs = 0;
  /** End of the last run, while requests wait for the next one. */
  #previousEndMs: number | undefined;
  #whenIdle: (() => void)[] = [];

  /**
   * @param run called for up to `instanceCount` batches at the same time.
   * @param onRun called after each of them.
   */
  constructor(
    run: (rows: readonly Row[]) => Promise<readonly Result[]>,
    settings: BatcherSettings,
    onRun: (rows: number, computeMs: number) => void = () => {},
  ) {
    this.#run = run;
    this.#settings = settings;
    const { maxBatchSize, preferredBatchSize } = settings;
    this.#mostRows = Math.min(
      maxBatchSize,
      preferredBatchSize.length > 0 ? Math.max(...preferredBatchSize) : maxBatchSize,
    );
    this.#onRun = onRun;
  }

  /** Requests that are accepted and not yet running. */
  get pending(): number {
    return this.#waiting.length + this.#decoding + this.#ready.length;
  }

  /**
   * Runs a request's rows, all in the same batch.
   * @throws {RefusedError} it has too many rows (400), the queue is full or too slow (429), or its time is up (504).
   * @throws {AbortedError} the signal fired.
   * @throws what `prepare` or the run throws.
   */
  async add(request: BatchRequest<Row>): Promise<BatchResult<Result>> {
    const { maxBatchSize, defaultTimeoutMicroseconds, priorityLevels } = this.#settings;
    const { count, signal, timeoutMicroseconds = defaultTimeoutMicroseconds, priority = priorityLevels } = request;
    if (count > maxBatchSize) {
      throw new RefusedError(400, {
        where: "batch",
        what: "it has too many images",
        received: count,
        expected: `at most ${maxBatchSize} in one request`,
      });
    }
    if (signal?.aborted) throw clientGone();
    this.#assertRoom(timeoutMicroseconds / 1000);
    return new Promise((resolve, reject) => {
      const job: Job<Row, Result> = {
        ...request,
        rank: Math.min(Math.max(priority, 1), priorityLevels),
        acceptedMs: performance.now(),
        decodeMs: 0,
        readyMs: 0,
        rows: [],
        isSettled: false,
        settle: (outcome) => {
          if (job.isSettled) return;
          job.isSettled = true;
          clearTimeout(timer);
          signal?.removeEventListener("abort", abort);
          if (outcome instanceof Error) reject(outcome);
          else resolve(outcome);
        },
      };
      const drop = (error: Error) => {
        if (this.#remove(job)) job.settle(error);
        this.#pump();
      };
      const abort = () => drop(clientGone());
      const timer = setTimeout(() => drop(late(timeoutMicroseconds)), Math.min(timeoutMicroseconds / 1000, longestMs));
      signal?.addEventListener("abort", abort, { once: true });
      insert(this.#waiting, job);
      this.#pump();
    });
  }

  /** Resolves when no request is left. */
  async idle(): Promise<void> {
    if (this.pending > 0 || this.#runs > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Refuses all requests that are not running. */
  refuseAll(error: Error): void {
    for (const job of [...this.#waiting, ...this.#ready]) {
      this.#remove(job);
      job.settle(error);
    }
    this.#pump();
  }

  /** @throws {RefusedError} the queue is full, or so long that the request's time will probably be up. */
  #assertRoom(timeoutMs: number): void {
    const { maxQueueSize } = this.#settings;
    const rows = [...this.#waiting, ...this.#ready].reduce(
      (sum, { count }) => sum + count,
      this.#running + this.#decoding,
    );
    const expectedMs = rows * this.#rowMs;
    const isFull = this.pending >= maxQueueSize;
    if (!isFull && expectedMs <= timeoutMs) return;
    throw new RefusedError(
      429,
      {
        where: "queue",
        what: isFull ? "it is full" : "it is too long for the request's timeout",
        received: isFull ? `${this.pending} waiting requests` : `a wait of about ${Math.ceil(expectedMs)} ms`,
        expected: isFull ? `fewer than ${maxQueueSize}` : `at most ${timeoutMs} ms`,
        remedy: "Try again later.",
      },
      Math.max(1, Math.ceil(expectedMs / 2000)),
    );
  }

  /** Takes a job out of the queue; returns whether it can still be dropped. */
  #remove(job: Job<Row, Result>): boolean {
    for (const queue of [this.#waiting, this.#ready]) {
      const at = queue.indexOf(job);
      if (at === -1) continue;
      queue.splice(at, 1);
      if (queue === this.#ready) this.#aheadRows -= job.count;
      return true;
    }
    // Being decoded: its rows are thrown away afterwards. While it runs, its result is about to arrive.
    return job.rows.length === 0;
  }

  #pump(): void {
    const { decoders, instanceCount } = this.#settings;
    // Only as far ahead as the engine needs: what times out in the queue should not have been decoded.
    const most = 2 * this.#mostRows * instanceCount;
    while (this.#waiting.length > 0 && this.#decoding < decoders && this.#aheadRows < most) {
      void this.#decode(this.#waiting.shift()!);
    }
    if (this.#runs < instanceCount && this.#ready.length > 0) this.#startBatch();
    if (this.pending > 0 || this.#runs > 0) return;
    this.#previousEndMs = undefined;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  async #decode(job: Job<Row, Result>): Promise<void> {
    this.#decoding++;
    this.#aheadRows += job.count;
    const startMs = performance.now();
    try {
      const rows = await job.prepare();
      job.readyMs = performance.now();
      job.decodeMs = job.readyMs - startMs;
      if (!job.isSettled) {
        job.rows = rows;
        insert(this.#ready, job);
      }
    } catch (error) {
      job.settle(error as Error);
    }
    if (job.isSettled) this.#aheadRows -= job.count;
    this.#decoding--;
    this.#pump();
  }

  /** Runs the largest batch of a preferred size, or else what fits; or waits for more rows. */
  #startBatch(): void {
    clearTimeout(this.#timer);
    const { preferredBatchSize, maxQueueDelayMicroseconds } = this.#settings;
    let [rows, fitting, preferred] = [0, 0, 0];
    for (const { count } of this.#ready) {
      // A request with more rows runs alone.
      if (fitting > 0 && rows + count > this.#mostRows) break;
      rows += count;
      fitting++;
      if (preferredBatchSize.includes(rows)) preferred = fitting;
    }
    const oldestMs = Math.min(...this.#ready.map(({ readyMs }) => readyMs));
    const leftMs = oldestMs + maxQueueDelayMicroseconds / 1000 - performance.now();
    const isFull = rows >= this.#mostRows || fitting < this.#ready.length;
    const jobs = preferred || (isFull || leftMs <= 0 ? fitting : 0);
    if (jobs > 0) void this.#runBatch(this.#ready.splice(0, jobs));
    else this.#timer = setTimeout(() => this.#pump(), Math.ceil(leftMs));
  }

  async #runBatch(jobs: readonly Job<Row, Result>[]): Promise<void> {
    const rows = jobs.flatMap((job) => job.rows);
    this.#runs++;
    this.#running += rows.length;
    this.#aheadRows -= rows.length;
    // The next images are decoded meanwhile.
    this.#pump();
    const startMs = performance.now();
    try {
      const results = await this.#run(rows);
      const computeMs = performance.now() - startMs;
      const rowMs = (startMs + computeMs - (this.#previousEndMs ?? startMs)) / rows.length;
      this.#rowMs = this.#rowMs === 0 ? rowMs : 0.8 * this.#rowMs + 0.2 * rowMs;
      this.#onRun(rows.length, computeMs);
      let row = 0;
      for (const job of jobs) {
        const { acceptedMs, decodeMs } = job;
        const queueMs = startMs - acceptedMs - decodeMs;
        job.settle({ results: results.slice(row, row + job.count), queueMs, decodeMs, computeMs });
        row += job.count;
      }
    } catch (error) {
      for (const job of jobs) job.settle(error as Error);
    }
    this.#runs--;
    this.#running -= rows.length;
    this.#previousEndMs = performance.now();
    this.#pump();
  }
}

/** Inserts a job behind those of the same or a higher priority. */
function insert<Row, Result>(queue: Job<Row, Result>[], job: Job<Row, Result>): void {
  const at = queue.findLastIndex(({ rank }) => rank <= job.rank);
  queue.splice(at + 1, 0, job);
}

function clientGone(): AbortedError {
  return new AbortedError({ where: "request", what: "the client closed the connection" });
}

/** The error for a request whose time is up. */
export function late(timeoutMicroseconds: number): RefusedError {
  return new RefusedError(504, {
    where: "request",
    what: "it was not answered in time",
    expected: `an answer within ${timeoutMicroseconds / 1000} ms`,
    remedy: "Try again later, or state a longer timeout.",
  });
}
