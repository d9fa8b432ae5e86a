import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { RefusedError } from "./exchange.ts";

/** Checks a request's key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`; returns the error for a wrong one. */
export type KeyCheck = (authorization: string | undefined, header: string | undefined) => RefusedError | undefined;

/** Creates the check of API keys; without keys, every request is allowed. */
export function keyCheck(apiKeys: readonly string[]): KeyCheck {
  const hashes = apiKeys.map(hashOf);
  return (authorization, header) => {
    const given = /^Bearer (.+)$/i.exec(authorization ?? "")?.[1] ?? header;
    if (hashes.length === 0 || (given !== undefined && isAmong(given, hashes))) return undefined;
    return new RefusedError(401, {
      where: "request",
      what: given === undefined ? "it has no API key" : "its API key is not one of this server's",
      expected: "the header Authorization: Bearer KEY, or X-API-Key: KEY",
    });
  };
}

/** Checks keys, and answers browsers that ask for permission. */
export function guardAccess(
  app: FastifyInstance,
  { check, corsOrigins }: { readonly check: KeyCheck; readonly corsOrigins: readonly string[] },
  isOpen: (path: string) => boolean,
): void {
  app.addHook("onRequest", async (request, reply) => {
    const { origin, authorization, "x-api-key": header } = request.headers;
    if (origin !== undefined && corsOrigins.includes(origin)) {
      reply.headers({ "access-control-allow-origin": origin, vary: "Origin", "access-control-expose-headers": "*" });
      if (request.method === "OPTIONS") {
        reply.headers({
          "access-control-allow-methods": "GET, POST",
          "access-control-allow-headers": "Authorization, Content-Type, X-API-Key, Inference-Header-Content-Length",
        });
        return reply.code(204).send();
      }
    }
    if (isOpen(request.routeOptions.url ?? "")) return;
    const error = check(authorization, typeof header === "string" ? header : undefined);
    if (!error) return;
    reply.header("www-authenticate", "Bearer");
    throw error;
  });
}

/** Takes the same time whichever key is given, and whichever it matches. */
function isAmong(given: string, hashes: readonly Buffer[]): boolean {
  const hash = hashOf(given);
  return hashes.reduce((found, each) => timingSafeEqual(each, hash) || found, false);
}

function hashOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
