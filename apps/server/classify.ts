import { type Kind, number, wholeNumber } from "../../src/base/kinds.ts";
import type { ClassifyResponse } from "../../src/client/protocol.ts";
import { RefusedError, type ServerReply, type ServerRequest } from "./exchange.ts";
import type { QueryParameter } from "./openapi.ts";
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
 * Returns the top classes of the image in the body.
 * @throws as {@link ServedModel.run}.
 */
export async function classify(model: ServedModel, { body, query, signal }: ServerRequest): Promise<ServerReply> {
  const top = inQuery(query, "top", wholeNumber({ from: 1 })) ?? 5;
  const threshold = inQuery(query, "threshold", number({ from: 0, to: 1 })) ?? 0;
  const timeoutMicroseconds = inQuery(query, "timeout", wholeNumber({ from: 1 }));
  const { results } = await model.run([imageIn(body)], { timeoutMicroseconds, signal });
  const predictions = model.classifier.rank(results[0]!, top);
  const { name, version } = model.file;
  const reply: ClassifyResponse = {
    model_name: name,
    model_version: version,
    predictions: predictions.filter(({ probability }) => probability >= threshold),
  };
  return { body: reply };
}

/** @throws {RefusedError} there is no body. */
export function imageIn(body: Uint8Array): Uint8Array {
  if (body.length > 0) return body;
  throw new RefusedError(400, { where: "request", what: "it has no body", expected: "an image: JPEG, PNG, WebP …" });
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
