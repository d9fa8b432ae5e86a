import type { DecodeOptions, RgbImage } from "../../base/platform.ts";
import { describeSource, type ImageFile } from "../../base/source.ts";
import { WorkQueue } from "../../base/work-queue.ts";
import { GuardedProcess } from "./guarded-process.ts";

/** An order to a process; the result is the image. */
export interface ImageOrder {
  readonly source: ImageFile;
  readonly options: Omit<DecodeOptions, "signal">;
}

/** Limits of decoding one image. */
export interface DecodeLimits {
  readonly timeMs: number;
  readonly memoryBytes: number;
}

/** Images that are waiting for one process. */
interface Lane {
  readonly queue: WorkQueue;
  waiting: number;
  process?: { readonly running: GuardedProcess; readonly memoryBytes: number };
}

/** As many as sharp decodes at a time. Processes are started when needed, and end with the program. */
const lanes: readonly Lane[] = Array.from({ length: 4 }, () => ({ queue: new WorkQueue(), waiting: 0 }));

/**
 * Decodes an image in a process of its own, as {@link decodeImage}: native code cannot be interrupted.
 * @throws {FormatError} a limit was reached.
 * @throws {AbortedError} the signal fired.
 */
export async function decodeApart(
  source: ImageFile,
  { signal, ...options }: DecodeOptions,
  { timeMs, memoryBytes }: DecodeLimits,
): Promise<RgbImage> {
  const lane = lanes.reduce((least, each) => (each.waiting < least.waiting ? each : least));
  lane.waiting++;
  try {
    return await lane.queue.add(async () => {
      const work = { where: describeSource(source), work: "decoding it", timeMs, signal };
      const running = await processOf(lane, memoryBytes, work);
      return running.ask<RgbImage>({ source, options } satisfies ImageOrder, work);
    });
  } finally {
    lane.waiting--;
  }
}

async function processOf(
  lane: Lane,
  memoryBytes: number,
  work: Parameters<typeof GuardedProcess.start>[2],
): Promise<GuardedProcess> {
  const { process } = lane;
  if (process?.running.isRunning && process.memoryBytes === memoryBytes) return process.running;
  process?.running.end();
  const running = await GuardedProcess.start("image-process", memoryBytes, work);
  lane.process = { running, memoryBytes };
  return running;
}
