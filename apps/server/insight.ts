import { choice, text } from "../../src/base/kinds.ts";
import type { ImageCodec } from "../../src/base/platform.ts";
import type { EmbedResponse, ExplainResponse } from "../../src/client/protocol.ts";
import { type ExplanationMethod, explanationMethods } from "../../src/tasks/explain/methods.ts";
import { overlaidPair } from "../../src/tasks/explain/overlay.ts";
import type { Pooling } from "../../src/tasks/features/feature-extractor.ts";
import { imageQuery, inQuery, timeoutIn } from "./classify.ts";
import type { ServerReply, ServerRequest } from "./exchange.ts";
import type { QueryParameter } from "./openapi.ts";
import type { ServedModel } from "./served-model.ts";

/** Parameters in the query of {@link embedImage}. */
export const embedQuery: Readonly<Record<string, QueryParameter>> = {
  ...imageQuery,
  pooling: { about: "Global pooling of each channel", schema: { enum: ["avg", "max"], default: "avg" } },
};

/** Parameters in the query of {@link explainImage}. */
export const explainQuery: Readonly<Record<string, QueryParameter>> = {
  ...imageQuery,
  class: { about: "Class to explain; default: the top one", schema: { type: "string" } },
  method: { about: "Method", schema: { enum: explanationMethods, default: "grad-cam" } },
};

/**
 * Returns the embedding of an image.
 * @throws as {@link FeatureExtractor.features}.
 */
export async function embedImage(
  model: ServedModel,
  image: Uint8Array,
  { query, signal }: ServerRequest,
): Promise<ServerReply> {
  const pooling: Pooling = inQuery(query, "pooling", choice("avg", "max")) ?? "avg";
  const work = async () => (await model.extractor()).features(image, { pooling });
  const [map] = await model.alone(work, { signal, ...timeoutIn(query) });
  const { name, version } = model.file;
  const { layer, values } = map!;
  const reply: EmbedResponse = { model_name: name, model_version: version, layer, embedding: [...values.data] };
  return { body: reply };
}

/**
 * Returns the evidence of a class in an image: as JSON, or drawn over the image where the client accepts
 * `image/png`.
 * @throws as {@link Explainer.explain}.
 */
export async function explainImage(
  model: ServedModel,
  image: Uint8Array,
  { query, headers, signal }: ServerRequest,
  codec: ImageCodec,
): Promise<ServerReply> {
  const method: ExplanationMethod | undefined = inQuery(query, "method", choice(...explanationMethods));
  const label = inQuery(query, "class", text(""));
  const work = async (limited: AbortSignal) =>
    (await model.explainer()).explain(image, { method, label, signal: limited });
  const explanation = await model.alone(work, { signal, ...timeoutIn(query) });
  if (headers.accept?.includes("image/png")) {
    // The image as the network reads it: its proportions are those of the map.
    const pair = await overlaidPair(explanation.image, explanation, { codec, fit: "cover" });
    return { headers: { "content-type": "image/png" }, body: await codec.encodePng(pair) };
  }
  const { name, version } = model.file;
  const { map, maximum, index, probability } = explanation;
  const [rows, columns] = map.shape as [number, number];
  const reply: ExplainResponse = {
    model_name: name,
    model_version: version,
    label: explanation.label,
    index,
    probability,
    method: explanation.method,
    map: Array.from({ length: rows }, (_, row) => [...map.data.subarray(row * columns, (row + 1) * columns)]),
    maximum,
  };
  return { body: reply };
}
