import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { type Bundle, bundleLibrary, runtimeFolder } from "./bundle.ts";

/** Debian's package `chromium`. */
const executable = "/usr/bin/chromium";

/** Why there is no browser on this machine; undefined if there is. */
export const whyNoBrowser = existsSync(executable) ? undefined : "no browser: Debian's package chromium brings one";

/** Headers of a page that may use threads. */
export const isolated = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** A browser, and a server with the library, ONNX Runtime's files and files of the test. */
export interface BrowserTest {
  readonly url: string;
  /** The library. */
  readonly bundle: Bundle;
  /** Paths requested so far. */
  readonly requests: string[];
  /** Adds a file. */
  serve(path: string, body: Uint8Array | string): void;
  /** Opens an empty page with these headers. */
  open(headers?: Readonly<Record<string, string>>): Promise<Page>;
  close(): Promise<void>;
}

declare global {
  /** The library, on every page. */
  var xception: typeof import("../../src/web.ts");
}

/** The page's files: a script of its own, because a strict policy forbids those in the document. */
const pageFiles = [
  ["/", '<!doctype html><title>test</title><script type="module" src="/test.js"></script>'],
  ["/test.js", 'import * as xception from "/library/web.js"; globalThis.xception = xception;'],
] as const;

const types: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/** Starts a browser on this machine alone. */
export async function startBrowserTest(flags: readonly string[] = []): Promise<BrowserTest> {
  const files = new Map<string, Uint8Array | string>(pageFiles);
  const bundle = await bundleLibrary();
  for (const { name, contents } of bundle.files) files.set(`/library/${name}`, contents);
  const requests: string[] = [];
  let pageHeaders: Readonly<Record<string, string>> = {};
  const server = createServer(async (request, response) => {
    const path = request.url!.replace(/\?.*/, "");
    requests.push(path);
    const type = types[extname(path === "/" ? "page.html" : path)] ?? "application/octet-stream";
    const runtime = join(runtimeFolder, path.slice("/library/".length));
    const body = files.get(path) ?? (existsSync(runtime) && (await readFile(runtime)));
    if (!body) return void response.writeHead(404).end();
    // A worker must be isolated by its own headers, too.
    response
      .writeHead(200, { ...pageHeaders, "content-type": type, "content-length": Buffer.byteLength(body) })
      .end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const browser: Browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox", ...flags] });
  return {
    url,
    bundle,
    requests,
    serve: (path, body) => void files.set(path, body),
    async open(headers = isolated) {
      pageHeaders = headers;
      const page = await (await browser.newContext()).newPage();
      await page.goto(url);
      return page;
    },
    async close() {
      await browser.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
