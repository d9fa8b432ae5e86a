import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How a server answers one request. */
export type Answer = (request: IncomingMessage, response: ServerResponse, body: Uint8Array) => void;

export interface LocalServer {
  readonly url: string;
  /** What was asked for: the range of each request, or `whole`. */
  readonly requests: string[];
  close(): void;
}

/**
 * Serves one file on this machine alone. The first requests get the answers given, later ones the file or the part asked
 * for.
 */
export async function serve(body: Uint8Array, ...answers: Answer[]): Promise<LocalServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.headers.range ?? "whole");
    (answers.shift() ?? part())(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/folder/weights.h5`,
    requests,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** As servers should: the part asked for, if the version is still the same. */
export function part(etag: string | null = '"v1"'): Answer {
  return (request, response, body) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const tag = etag === null ? {} : { etag };
    const isSame = request.headers["if-range"] === undefined || request.headers["if-range"] === etag;
    if (from === 0 || !isSame) return void response.writeHead(200, { ...tag, "content-length": body.length }).end(body);
    if (from >= body.length) return void response.writeHead(416, { "content-range": `bytes */${body.length}` }).end();
    const range = `bytes ${from}-${body.length - 1}/${body.length}`;
    response.writeHead(206, { ...tag, "content-range": range, "content-length": body.length - from });
    response.end(body.subarray(from));
  };
}

/** Sends the beginning and hangs up, or falls silent. */
export function cut(bytes: number, then: "hang up" | "fall silent" = "hang up", etag: string | null = '"v1"'): Answer {
  return (request, response, body) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const tag = etag === null ? {} : { etag };
    const range = from > 0 ? { "content-range": `bytes ${from}-${body.length - 1}/${body.length}` } : {};
    response.writeHead(from > 0 ? 206 : 200, { ...tag, ...range, "content-length": body.length - from });
    response.write(body.subarray(from, from + bytes), () => {
      if (then === "hang up") setTimeout(() => response.destroy(), 30);
    });
  };
}

/** Knows no parts: the whole file, whatever was asked for. */
export const whole: Answer = (_, response, body) => {
  response.writeHead(200, { "content-length": body.length }).end(body);
};

export function status(code: number, headers: Record<string, string> = {}): Answer {
  return (_, response) => void response.writeHead(code, headers).end("no");
}
