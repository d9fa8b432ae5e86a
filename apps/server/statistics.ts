import type { ModelStatistics, StatisticDuration } from "../../src/client/protocol.ts";
import type { BatchResult } from "./batcher.ts";

type Durations = { -readonly [Name in keyof StatisticDuration]: StatisticDuration[Name] };

/** What one version of a model did since it was loaded, as Triton's statistics extension reports it. */
export class InferenceStatistics {
  readonly #durations = { success: none(), fail: none(), queue: none(), compute_input: none(), compute_infer: none() };
  readonly #batches = new Map<number, Durations>();
  #lastInference = 0;
  #images = 0;

  succeeded({ results, queueMs, decodeMs, computeMs }: BatchResult<unknown>, requestMs: number): void {
    this.#lastInference = Date.now();
    this.#images += results.length;
    const { success, queue, compute_input, compute_infer } = this.#durations;
    add(success, requestMs);
    add(queue, queueMs);
    add(compute_input, decodeMs);
    add(compute_infer, computeMs);
  }

  failed(requestMs: number): void {
    add(this.#durations.fail, requestMs);
  }

  /** Notes a run of the engine. */
  ran(images: number, computeMs: number): void {
    const batch = this.#batches.get(images) ?? none();
    this.#batches.set(images, batch);
    add(batch, computeMs);
  }

  report(name: string, version: string): ModelStatistics {
    const batches = [...this.#batches].sort(([a], [b]) => a - b);
    return {
      name,
      version,
      last_inference: this.#lastInference,
      inference_count: this.#images,
      execution_count: batches.reduce((sum, [, { count }]) => sum + count, 0),
      // Outputs are sent as the engine returns them, and there is no cache.
      inference_stats: {
        ...this.#durations,
        compute_output: idle(this.#durations.success.count),
        cache_hit: none(),
        cache_miss: none(),
      },
      // Images are decoded before batches are formed.
      batch_stats: batches.map(([batch_size, compute_infer]) => {
        const { count } = compute_infer;
        return { batch_size, compute_input: idle(count), compute_infer, compute_output: idle(count) };
      }),
    };
  }
}

function none(): Durations {
  return idle(0);
}

function idle(count: number): Durations {
  return { count, ns: 0 };
}

function add(durations: Durations, ms: number): void {
  durations.count++;
  durations.ns += Math.round(1e6 * ms);
}
