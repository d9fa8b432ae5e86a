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

/** Declares the metrics of {@link modelMetrics}. */
export function declareModelMetrics(metrics: Metrics): void {
  for (const [name, help] of Object.entries(counters)) metrics.declare(name, "counter", help);
  for (const [name, help] of Object.entries(gauges)) metrics.declare(name, "gauge", help);
}

/** Triton's reasons of failed requests. */
type FailureReason = "REJECTED" | "CANCELED" | "BACKEND" | "OTHER";

/** Images that drift gauges look back on: an image's weight falls to a third after so many. */
const memory = 1000;

/** Counts what one version of a model does, and watches its predictions for drift. */
export function modelMetrics(
  metrics: Metrics,
  labels: { readonly model: string; readonly version: string },
  { classes, provenance }: { readonly classes: readonly string[]; readonly provenance: Provenance | undefined },
) {
  for (const name of Object.keys(counters)) {
    if (name !== "nv_inference_request_failure") metrics.add(name, labels, 0);
  }
  for (const [label, share] of trainingShares(provenance)) {
    metrics.set("xception_training_class_share", { ...labels, class: label }, share);
  }
  const add = (name: keyof typeof counters, amount: number) => metrics.add(name, labels, amount);
  const shares = new Float64Array(classes.length);
  let [meanTop, unknown, weight] = [0, 0, 0];
  return {
    succeeded({ results, queueMs, decodeMs, computeMs }: BatchResult<unknown>, requestMs: number): void {
      add("nv_inference_request_success", 1);
      add("nv_inference_count", results.length);
      add("nv_inference_request_duration_us", Math.round(1000 * requestMs));
      add("nv_inference_queue_duration_us", Math.round(1000 * queueMs));
      add("nv_inference_compute_input_duration_us", Math.round(1000 * decodeMs));
      add("nv_inference_compute_infer_duration_us", Math.round(1000 * computeMs));
    },
    failed(reason: FailureReason): void {
      metrics.add("nv_inference_request_failure", { ...labels, reason });
    },
    ran(): void {
      add("nv_inference_exec_count", 1);
    },
    /** Notes the predicted class of an image. */
    predicted(index: number, probability: number): void {
      const keep = 1 - 1 / memory;
      weight = keep * weight + 1;
      for (let each = 0; each < shares.length; each++) shares[each]! *= keep;
      shares[index]! += 1;
      meanTop = keep * meanTop + probability;
      const isUnknown = classes[index]!.toLowerCase() === "unknown" || probability < 0.5;
      unknown = keep * unknown + Number(isUnknown);
    },
    /** Sets the gauges before a scrape. */
    collect(pending: number): void {
      metrics.set("nv_inference_pending_request_count", labels, pending);
      if (weight === 0) return;
      for (const [index, share] of shares.entries()) {
        if (share > 0) metrics.set("xception_class_share", { ...labels, class: classes[index]! }, share / weight);
      }
      metrics.set("xception_mean_top_probability", labels, meanTop / weight);
      metrics.set("xception_unknown_share", labels, unknown / weight);
    },
  };
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
