import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Answer, part } from "./local-server.ts";

/** A request that a server got. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
}

/** A server that plays the Hugging Face Hub, and the other host that it redirects to for large files. */
export interface HubServer {
  readonly endpoint: string;
  /** Requests to the hub, and to the other host. */
  readonly hub: SeenRequest[];
  readonly storage: SeenRequest[];
  /** The next answers of the other host, in place of the file. */
  readonly storageAnswers: Answer[];
  /** Files of `owner/repo` by path; change them together with the commit. */
  files: Record<string, Uint8Array | string>;
  commit: string;
  /** The next answer of the hub, in place of its own. */
  hubAnswer: Answer | undefined;
  close(): void;
}

/**
 * Serves the files of the repository `owner/repo` as the hub does: `.json` files itself, under git's hash, other files by
 * a redirect to signed URLs of another host, with their SHA-256 in `X-Linked-ETag`. `old/repo` has moved to `owner/repo`;
 * the repositories of timm have the same files.
 */
export async function serveHub(files: HubServer["files"]): Promise<HubServer> {
  const [hub, storage] = [[], []] as [SeenRequest[], SeenRequest[]];
  const storageAnswers: Answer[] = [];
  let signatures = 0;

  const other = await listen((request, response) => {
    storage.push(seen(request));
    const path = decodeURIComponent(new URL(request.url!, "http://host").pathname.slice(1));
    (storageAnswers.shift() ?? part(`"${path}"`))(request, response, bytesOf(server.files[path]!));
  });
  const main = await listen((request, response) => {
    hub.push(seen(request));
    const { hubAnswer: answer } = server;
    server.hubAnswer = undefined;
    if (answer) return answer(request, response, new Uint8Array());
    const [, repo, revision, path] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(request.url!) ?? [];
    const end = (status: number, headers: Record<string, string | number> = {}) =>
      void response.writeHead(status, headers).end();
    if (repo === "old/repo") return end(307, { location: request.url!.replace("old/repo", "owner/repo") });
    if (repo !== "owner/repo" && !repo?.startsWith("timm/")) return end(401, { "x-error-code": "RepoNotFound" });
    if (revision !== "main" && revision !== "refs%2Fpr%2F1" && revision !== server.commit) {
      return end(404, { "x-error-code": "RevisionNotFound" });
    }
    const file = server.files[decodeURIComponent(path!)];
    if (file === undefined) return end(404, { "x-error-code": "EntryNotFound", "x-repo-commit": server.commit });
    const bytes = bytesOf(file);
    if (path!.endsWith(".json")) {
      const etag = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
      response.writeHead(200, { etag: `"${etag}"`, "x-repo-commit": server.commit, "content-length": bytes.length });
      return void response.end(request.method === "HEAD" ? undefined : bytes);
    }
    return end(302, {
      location: `${other.url}/${path}?signature=${++signatures}`,
      "x-repo-commit": server.commit,
      "x-linked-size": bytes.length,
      "x-linked-etag": `"${createHash("sha256").update(bytes).digest("hex")}"`,
    });
  });
  const server: HubServer = {
    endpoint: main.url,
    hub,
    storage,
    storageAnswers,
    files,
    commit: "c".repeat(40),
    hubAnswer: undefined,
    close: () => [main, other].forEach((each) => void each.close()),
  };
  return server;
}

function bytesOf(file: Uint8Array | string): Uint8Array {
  return typeof file === "string" ? new TextEncoder().encode(file) : file;
}

function seen({ method, url, headers }: IncomingMessage): SeenRequest {
  return { method: method!, path: url!, authorization: headers.authorization };
}

async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}`, close };
}
