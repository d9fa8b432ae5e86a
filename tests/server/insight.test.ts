import { expect, it } from "vitest";
import type { EmbedResponse, ExplainResponse } from "../../src/client/protocol.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { loadExplainer } from "../../src/tasks/explain/explainer.ts";
import { loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { serving, testServer } from "./serving.ts";

const own = serving();
const post = (url: string, headers = {}) => {
  const type = { "content-type": "image/png", ...headers };
  return own.ask({ method: "POST", url, payload: Buffer.from(own.png), headers: type });
};

it("POST /embed answers with the feature extractor's embedding", async () => {
  await using extractor = await loadFeatureExtractor(own.model, { platform });
  for (const pooling of ["avg", "max"] as const) {
    const [map] = await extractor.features(own.png, { pooling });
    const { layer, embedding } = (await post(`/embed?pooling=${pooling}`)).json<EmbedResponse>();
    expect({ layer, embedding }).toEqual({ layer: map!.layer, embedding: [...map!.values.data] });
  }
});

it("POST /explain answers with the explainer's map, or draws it", async () => {
  await using explainer = await loadExplainer(own.model, { platform });
  const { map, maximum, predictions, label, probability } = await explainer.explain(own.png);
  const answer = (await post("/explain")).json<ExplainResponse>();
  expect(answer).toMatchObject({ model_name: "small", method: "grad-cam", label, probability, maximum });
  expect(answer.map.flat()).toEqual([...map.data]);
  const second = predictions[1]!.label;
  expect((await post(`/explain?class=${second}`)).json<ExplainResponse>().label).toBe(second);
  const drawn = await post("/explain", { accept: "image/png" });
  expect(drawn.headers["content-type"]).toBe("image/png");
  const { width, height } = await platform.images.decode(drawn.bytes, {});
  // The image and the map beside it, 8 pixels apart.
  expect([width, height]).toEqual([2 * 360 + 8, Math.round((360 * 71) / 80)]);
  const wrong = await post("/explain?class=dodo");
  expect([wrong.status, wrong.json().error]).toEqual([
    400,
    'explain option label: the model has no such class; received "dodo"; expected one of its 3 classes, e.g. cat.',
  ]);
});

it("POST /explain stops when its time is up, also while it computes", async () => {
  // A thousand runs of the network, about a second's work.
  const late = await post("/explain?method=rise&timeout=100000");
  expect([late.status, late.json().error]).toEqual([
    504,
    "request: it was not answered in time; expected an answer within 100 ms. Try again later, or state a longer timeout.",
  ]);
});

it("after SIGTERM, an explanation ends with the grace", async () => {
  const server = await testServer({ source: own.model, settings: { grace: 0 } });
  await server.load();
  const ask = (method: string) =>
    server.http.inject({ method: "POST", url: `/explain?method=${method}`, payload: Buffer.from(own.png) });
  expect((await ask("occlusion")).statusCode).toBe(200);
  const answer = ask("rise");
  await new Promise((resolve) => setTimeout(resolve, 50));
  await server.close();
  expect([(await answer).statusCode, (await answer).json().error]).toEqual([
    503,
    "server: it is shutting down. Ask another one.",
  ]);
});
