import type { Json } from "../../src/base/json.ts";
import type { Provenance } from "../../src/model/model.ts";
import type { BatchResult } from "./batcher.ts";
import type { Metrics } from "./metrics.ts";

/** Counters of models, with Triton's names; durations are totals in microseconds. */
const counters = {
  nv_inference_request_success: "Number of successful inference requests",
  nv_inference_request_failure: "Number of failed inference requests, by reason",
  nv_inference_count: "Number of images inferred",
  nv_inference_exec_count: "Number of runs of the engine, each of one batch",
  nv_inference_request_duration_us: "Cumulative duration of requests",
  nv_inference_queue_duration_us: "Cumulative time that requests waited for decoders and the engine",
  nv_inference_compute_input_duration_us: "Cumulative time of decoding images",
  nv_inference_compute_infer_duration_us: "Cumulative time of the runs that requests were part of",
} as const;

const gauges = {
  nv_inference_pending_request_count: "Number of requests that wait for the engine",
  xception_class_share: "Share of recent images predicted as a class",
  xception_training_class_share: "Share of a class among the training images",
  xception_mean_top_probability: "Mean probability of the predicted class of recent images",
  xception_unknown_share: "Share of recent images predicted as unknown, or with a top probability below 0.5",
} as const;

/** Declares the metrics of {@link ModelMetrics}. */
export function declareModelMetrics(metrics: Metrics): void {
  for (const [name, help] of Object.entries(counters)) metrics.declare(name, "counter", help);
  for (const [name, help] of Object.entries(gauges)) metrics.declare(name, "gauge", help);
}

/** Triton's reasons of failed requests. */
export type FailureReason = "REJECTED" | "CANCELED" | "BACKEND" | "OTHER";

/** Images that drift gauges look back on: an image's weight falls to a third after so many. */
const memory = 1000;

/** Counts what one version of a model does, and watches its predictions for drift. */
export class ModelMetrics {
  readonly #metrics: Metrics;
  readonly #labels: { readonly model: string; readonly version: string };
  readonly #classes: readonly string[];
  readonly #shares: Float64Array;
  #meanTop = 0;
  #unknown = 0;
  #weight = 0;

  constructor(
    metrics: Metrics,
    labels: { readonly model: string; readonly version: string },
    { classes, provenance }: { readonly classes: readonly string[]; readonly provenance: Provenance | undefined },
  ) {
    this.#metrics = metrics;
    this.#labels = labels;
    this.#classes = classes;
    this.#shares = new Float64Array(classes.length);
    for (const name of Object.keys(counters)) {
      if (name !== "nv_inference_request_failure") metrics.add(name, labels, 0);
    }
    for (const [label, share] of trainingShares(provenance)) {
      metrics.set("xception_training_class_share", { ...labels, class: label }, share);
    }
  }

  succeeded({ results, queueMs, decodeMs, computeMs }: BatchResult<unknown>, requestMs: number): void {
    const add = (name: keyof typeof counters, amount: number) => this.#metrics.add(name, this.#labels, amount);
    add("nv_inference_request_success", 1);
    add("nv_inference_count", results.length);
    add("nv_inference_request_duration_us", Math.round(1000 * requestMs));
    add("nv_inference_queue_duration_us", Math.round(1000 * queueMs));
    add("nv_inference_compute_input_duration_us", Math.round(1000 * decodeMs));
    add("nv_inference_compute_infer_duration_us", Math.round(1000 * computeMs));
  }

  failed(reason: FailureReason): void {
    this.#metrics.add("nv_inference_request_failure", { ...this.#labels, reason });
  }

  ran(): void {
    this.#metrics.add("nv_inference_exec_count", this.#labels);
  }

  /** Notes the predicted class of an image. */
  predicted(index: number, probability: number): void {
    const keep = 1 - 1 / memory;
    this.#weight = keep * this.#weight + 1;
    for (let each = 0; each < this.#shares.length; each++) this.#shares[each]! *= keep;
    this.#shares[index]! += 1;
    this.#meanTop = keep * this.#meanTop + probability;
    const isUnknown = this.#classes[index]!.toLowerCase() === "unknown" || probability < 0.5;
    this.#unknown = keep * this.#unknown + Number(isUnknown);
  }

  /** Sets the gauges before a scrape. */
  collect(pending: number): void {
    this.#metrics.set("nv_inference_pending_request_count", this.#labels, pending);
    if (this.#weight === 0) return;
    for (const [index, share] of this.#shares.entries()) {
      if (share === 0) continue;
      const labels = { ...this.#labels, class: this.#classes[index]! };
      this.#metrics.set("xception_class_share", labels, share / this.#weight);
    }
    this.#metrics.set("xception_mean_top_probability", this.#labels, this.#meanTop / this.#weight);
    this.#metrics.set("xception_unknown_share", this.#labels, this.#unknown / this.#weight);
  }
}

/** Shares of the classes among the training images, as `xception train` writes their counts into a model. */
function trainingShares(provenance: Provenance | undefined): readonly (readonly [string, number])[] {
  const counts = objectIn(objectIn(objectIn(provenance, "data"), "training"), "images");
  const numbers = Object.entries(counts).flatMap(([label, count]) =>
    typeof count === "number" ? [[label, count] as const] : [],
  );
  const total = numbers.reduce((sum, [, count]) => sum + count, 0);
  return total === 0 ? [] : numbers.map(([label, count]) => [label, count / total] as const);
}

function objectIn(value: Json | Provenance | undefined, key: string): Readonly<Record<string, Json>> {
  const inside = typeof value === "object" && value !== null ? (value as Record<string, Json>)[key] : undefined;
  return typeof inside === "object" && inside !== null && !Array.isArray(inside)
    ? (inside as Record<string, Json>)
    : {};
}
