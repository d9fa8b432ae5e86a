import { parseJson } from "../../src/base/json.ts";
import { type Kind, number, string, wholeNumber } from "../../src/base/kinds.ts";
import { fitting, object } from "../../src/base/schema.ts";
import type { ClassifyResponse } from "../../src/client/protocol.ts";
import { RefusedError, type ServerReply, type ServerRequest } from "./exchange.ts";
import type { QueryParameter } from "./openapi.ts";
import type { ReadRemoteImage } from "./remote-images.ts";
import type { ServedModel } from "./served-model.ts";

/** Parameters in the query of every endpoint that takes an image. */
export const imageQuery: Readonly<Record<string, QueryParameter>> = {
  model: { about: "Name of the model; default: the only one", schema: { type: "string" } },
  timeout: { about: "Time in which it must be answered, in microseconds", schema: { type: "integer", minimum: 1 } },
};

/** Parameters in the query of {@link classify}. */
export const classifyQuery: Readonly<Record<string, QueryParameter>> = {
  ...imageQuery,
  top: { about: "Number of classes to return", schema: { type: "integer", minimum: 1, default: 5 } },
  threshold: { about: "Lowest probability to return", schema: { type: "number", minimum: 0, maximum: 1, default: 0 } },
};

/**
 * Returns the top classes of an image.
 * @throws as {@link ServedModel.run}.
 */
export async function classify(
  model: ServedModel,
  image: Uint8Array,
  { query, signal }: ServerRequest,
): Promise<ServerReply> {
  const top = inQuery(query, "top", wholeNumber({ from: 1 })) ?? 5;
  const threshold = inQuery(query, "threshold", number({ from: 0, to: 1 })) ?? 0;
  const { results } = await model.run([image], { signal, ...timeoutIn(query) });
  const predictions = model.classifier.rank(results[0]!, top);
  const { name, version } = model.file;
  const reply: ClassifyResponse = {
    model_name: name,
    model_version: version,
    predictions: predictions.filter(({ probability }) => probability >= threshold),
  };
  return { body: reply };
}

/**
 * Returns the image of a request: the body itself, or what its URL names.
 * @throws {RefusedError} there is no body, or the image may not be downloaded from there.
 */
export async function requestedImage(
  { body, headers, signal }: ServerRequest,
  readRemote: ReadRemoteImage,
): Promise<Uint8Array> {
  if (headers["content-type"]?.startsWith("application/json")) {
    const document = parseJson(new TextDecoder().decode(body), "request");
    return readRemote(fitting(object({ url: string }), document, "request").url, signal);
  }
  if (body.length > 0) return body;
  throw new RefusedError(400, { where: "request", what: "it has no body", expected: "an image: JPEG, PNG, WebP …" });
}

/** The time in which a request must be answered. */
export function timeoutIn(query: ServerRequest["query"]) {
  return { timeoutMicroseconds: inQuery(query, "timeout", wholeNumber({ from: 1 })) };
}

/** A value of the query; undefined if it is not there. */
export function inQuery<T>(
  query: ServerRequest["query"],
  name: string,
  { read, accept, expected }: Kind<T>,
): T | undefined {
  const text = query[name];
  if (text === undefined) return undefined;
  const value = accept(read(text));
  if (value !== undefined) return value;
  throw new RefusedError(400, {
    where: `parameter ${name}`,
    what: "this value is not allowed",
    received: text,
    expected,
  });
}
