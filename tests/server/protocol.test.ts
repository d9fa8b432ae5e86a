import type { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import type { ModelStatisticsResponse } from "../../src/client/protocol.ts";
import { noisePng } from "./noise-png.ts";
import { type Serving, serving, testServer, validating } from "./serving.ts";

const own = serving();

it("describes itself and its model", async () => {
  const { json } = await own.ask({ url: "/v2" });
  const extensions = ["binary_tensor_data", "classification", "model_configuration", "schedule_policy", "statistics"];
  expect(json()).toEqual({ name: "xception-ts", version: "1.2.3", extensions });
  const metadata = {
    name: "small",
    versions: ["1"],
    platform: "onnxruntime_onnx",
    inputs: [{ name: "images", datatype: "UINT8", shape: [-1, -1, -1, 3] }],
    outputs: [{ name: "predictions", datatype: "FP32", shape: [-1, 3] }],
  };
  for (const url of ["/v2/models/small", "/v2/models/small/versions/1"]) {
    expect((await own.ask({ url })).json()).toEqual(metadata);
    expect((await own.ask({ url: `${url}/ready` })).json()).toEqual({ name: "small", ready: true });
  }
  const wrong = await own.ask({ url: "/v2/models/small/versions/2" });
  expect([wrong.status, wrong.json().error]).toEqual([
    404,
    'model "small": it has no such version in use; received "2"; expected 1.',
  ]);
});

it("tells how it batches requests, in the form of Triton's model configuration", async () => {
  const settings = {
    ...{ instanceCount: 2, maxBatchSize: 4, preferredBatchSize: [2, 4], maxQueueDelayMicroseconds: 100 },
    ...{ maxQueueSize: 5, defaultTimeoutMicroseconds: 6_000_000, priorityLevels: 7 },
  };
  const server = await testServer({ source: own.model, settings });
  const ask = await validating(server);
  await server.load();
  for (const url of ["/v2/models/small/config", "/v2/models/small/versions/1/config"]) {
    expect((await ask({ url })).json()).toEqual({
      name: "small",
      platform: "onnxruntime_onnx",
      backend: "onnxruntime",
      max_batch_size: 4,
      input: [{ name: "images", data_type: "TYPE_UINT8", format: "FORMAT_NHWC", dims: [-1, -1, 3] }],
      output: [{ name: "predictions", data_type: "TYPE_FP32", dims: [3] }],
      instance_group: [{ count: 2 }],
      dynamic_batching: {
        preferred_batch_size: [2, 4],
        max_queue_delay_microseconds: 100,
        priority_levels: 7,
        default_priority_level: 7,
        default_queue_policy: {
          timeout_action: "REJECT",
          default_timeout_microseconds: 6_000_000,
          allow_timeout_override: true,
          max_queue_size: 5,
        },
      },
    });
  }
  await server.close();
});

it("counts inferences in the form of Triton's statistics", async () => {
  const server = await testServer({ source: own.model });
  const ask = await validating(server);
  await server.load();
  const statisticsAt = async (url: string) => (await ask({ url })).json<ModelStatisticsResponse>().model_stats;
  const [before] = await statisticsAt("/v2/models/stats");
  expect(before).toMatchObject({ last_inference: 0, inference_count: 0, execution_count: 0, batch_stats: [] });
  const startMs = Date.now();
  const data = [Buffer.from(own.png).toString("base64")];
  for (const count of [1, 3, 3]) {
    const images = { name: "images", datatype: "BYTES", shape: [count], data: new Array(count).fill(data[0]) };
    const reply = await ask({ method: "POST", url: "/v2/models/small/infer", payload: { inputs: [images] } });
    expect(reply.status).toBe(200);
  }
  expect((await ask({ method: "POST", url: "/classify", payload: "no image" })).status).toBe(400);
  const [statistics] = await statisticsAt("/v2/models/small/stats");
  const took = (count: number) => ({ count, ns: expect.any(Number) });
  const none = (count: number) => ({ count, ns: 0 });
  expect(statistics).toEqual({
    ...{ name: "small", version: "1", last_inference: expect.any(Number) },
    ...{ inference_count: 7, execution_count: 3 },
    inference_stats: {
      ...{ success: took(3), fail: took(1), queue: took(3), compute_input: took(3), compute_infer: took(3) },
      ...{ compute_output: none(3), cache_hit: none(0), cache_miss: none(0) },
    },
    batch_stats: [
      { batch_size: 1, compute_input: none(1), compute_infer: took(1), compute_output: none(1) },
      { batch_size: 3, compute_input: none(2), compute_infer: took(2), compute_output: none(2) },
    ],
  });
  expect(statistics!.last_inference).toBeGreaterThanOrEqual(startMs);
  const { success, queue, compute_input, compute_infer } = statistics!.inference_stats;
  const parts = queue.ns + compute_input.ns + compute_infer.ns;
  // Up to rounding.
  expect(success.ns).toBeGreaterThanOrEqual(parts - 20);
  const inBatches = statistics!.batch_stats.reduce((sum, { compute_infer: { ns } }) => sum + ns, 0);
  expect(inBatches).toBe(compute_infer.ns);
  expect(await statisticsAt("/v2/models/stats")).toEqual([statistics]);
  expect(await statisticsAt("/v2/models/small/versions/1/stats")).toEqual([statistics]);
  await server.close();
});

it("is live from the start, ready when the model is warm, and answers what it accepted before it stops", async () => {
  const server = await testServer({ source: own.model });
  const ask = await validating(server);
  expect((await ask({ url: "/v2/health/live" })).json()).toEqual({ live: true });
  const cold = await ask({ url: "/v2/health/ready" });
  expect([cold.status, cold.json()]).toEqual([503, { ready: false }]);
  const early = await ask({ method: "POST", url: "/classify", payload: Buffer.from(own.png) });
  expect([early.status, early.json().error]).toEqual([503, "server: it is not loaded. Try again later."]);
  expect(early.headers["retry-after"]).toBe("1");
  await server.load();
  expect((await ask({ url: "/v2/health/ready" })).json()).toEqual({ ready: true });

  const replies = Array.from({ length: 20 }, () => {
    return ask({ method: "POST", url: "/classify", payload: Buffer.from(own.png) });
  });
  while ((await pending(ask)) < 3) await new Promise((resolve) => setImmediate(resolve));
  const closing = server.close();
  const statuses = (await Promise.all(replies)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(3);
  expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
  await closing;
});

it("divides requests and cores among the instances of a model", async () => {
  const threads: Worker[] = [];
  const collect = (thread: Worker) => threads.push(thread);
  process.on("worker", collect);
  const server = await testServer({ source: own.model, settings: { instanceCount: 2, maxBatchSize: 1 } });
  await server.load();
  process.off("worker", collect);
  expect(threads.length).toBe(2);
  const ask = await validating(server);
  const images = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => noisePng(seed)));
  const replies = await Promise.all(
    images.map((image) => ask({ method: "POST", url: "/classify", payload: Buffer.from(image) })),
  );
  for (const [place, reply] of replies.entries()) {
    const expected = await own.classifier.classify(images[place]!);
    const { predictions } = reply.json() as { predictions: { label: string; probability: number }[] };
    expect(predictions.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
    for (const [rank, { probability }] of predictions.entries()) {
      expect(probability).toBeCloseTo(expected[rank]!.probability, 6);
    }
  }
  await server.close();
});

async function pending(ask: Serving["ask"]): Promise<number> {
  const text = (await ask({ url: "/metrics" })).bytes.toString();
  return Number(/^nv_inference_pending_request_count\{.*\} (\d+)$/m.exec(text)?.[1] ?? 0);
}
