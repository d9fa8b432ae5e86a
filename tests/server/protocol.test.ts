import type { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { noisePng } from "./noise-png.ts";
import { type Serving, serving, testServer, validating } from "./serving.ts";

const own = serving();

it("describes itself and its model", async () => {
  const { json } = await own.ask({ url: "/v2" });
  const extensions = ["binary_tensor_data", "classification", "schedule_policy"];
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
