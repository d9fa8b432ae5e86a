import { availableParallelism } from "node:os";
import { UsageError } from "../../src/base/errors.ts";
import { type Choice, type Kind, listOf, type ValueOf, wholeNumber } from "../../src/base/kinds.ts";

function serveSetting<T>(kind: Kind<T>, about: string, value: NoInfer<T>, defaultText?: string): Choice<T> {
  return { ...kind, about, default: value, ...(defaultText !== undefined && { defaultText }) };
}

/** Dynamic batching, with the names of Triton's model configuration. */
export const batchSettings = {
  instanceCount: serveSetting(
    wholeNumber({ from: 1, to: 64 }),
    "engine sessions of a model, which divide the cores: more throughput, slower single answers",
    1,
  ),
  maxBatchSize: serveSetting(wholeNumber({ from: 1, to: 1024 }), "most images in one run of the engine", 8),
  preferredBatchSize: serveSetting(
    listOf(wholeNumber({ from: 1, to: 1024 })),
    "batch sizes to form from several requests, without waiting for more images",
    [],
    "--max-batch-size if an image costs less in such a batch on this machine, measured as a model is loaded; else 1",
  ),
  maxQueueDelayMicroseconds: serveSetting(
    wholeNumber({ from: 0, to: 60_000_000 }),
    "time that an image waits for others to fill a batch",
    0,
  ),
  maxQueueSize: serveSetting(wholeNumber({ from: 1 }), "requests that may wait; more are refused (429)", 128),
  defaultTimeoutMicroseconds: serveSetting(
    wholeNumber({ from: 1 }),
    "time in which a request must be answered, unless it states one",
    30_000_000,
  ),
  priorityLevels: serveSetting(
    wholeNumber({ from: 1, to: 100 }),
    "priorities that a request may state; 1 is the first to run",
    1,
  ),
} as const;

/** Limits on what clients may send, and on the time it takes. */
export const limitSettings = {
  decoders: serveSetting(
    wholeNumber({ from: 1 }),
    "images decoded at the same time",
    availableParallelism(),
    "one for each core",
  ),
  maxBodyBytes: serveSetting(wholeNumber({ from: 1024 }), "largest body of a request", 32 * 2 ** 20, "32 MiB"),
  pixelLimit: serveSetting(wholeNumber({ from: 1 }), "largest number of pixels of an image", 50_000_000),
  maxDecodeSeconds: serveSetting(wholeNumber({ from: 1 }), "longest time to decode an image", 10),
  maxHeaderBytes: serveSetting(wholeNumber({ from: 1024 }), "largest headers of a request", 16_384),
  requestSeconds: serveSetting(wholeNumber({ from: 1 }), "time in which a client must send its request", 30),
  grace: serveSetting(wholeNumber({ from: 0 }), "seconds to finish accepted requests after SIGTERM", 30),
} as const;

/** The folder that models are read from. */
export const repositorySettings = {
  repositoryPollSecs: serveSetting(
    wholeNumber({ from: 0, to: 86_400 }),
    "seconds between two looks for changed model files; 0: never",
    5,
  ),
} as const;

const allSettings = { ...batchSettings, ...limitSettings, ...repositorySettings };

/** Settings of serving: batching and limits. */
export type ServeSettings = { readonly [Name in keyof typeof allSettings]: ValueOf<(typeof allSettings)[Name]> };

/** Settings of batching. */
export type BatchSettings = Pick<ServeSettings, keyof typeof batchSettings>;

/**
 * Settings with their defaults where none is given.
 * @throws {UsageError} a preferred batch is larger than the largest, which Triton refuses, too.
 */
export function serveSettings(given: Partial<ServeSettings> = {}): ServeSettings {
  const defaults = Object.fromEntries(Object.entries(allSettings).map(([name, each]) => [name, each.default]));
  const settings = { ...(defaults as unknown as ServeSettings), ...given };
  const { preferredBatchSize, maxBatchSize } = settings;
  if (preferredBatchSize.every((size) => size <= maxBatchSize)) return settings;
  throw new UsageError({
    where: "option --preferred-batch-size",
    what: "a batch is larger than --max-batch-size",
    received: preferredBatchSize,
    expected: `sizes up to ${maxBatchSize}`,
  });
}
