import { createServer as createWebServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { isPublicAddress, type RemoteOptions, remoteImages } from "../../apps/server/remote-images.ts";
import { serving } from "./serving.ts";

const own = serving({ apiKeys: ["first", "second"], corsOrigins: ["https://page.example"], allowUrl: ["localhost"] });
const key = { authorization: "Bearer second" };

describe("keys", () => {
  it.each([
    [{}, "request: it has no API key; expected the header Authorization: Bearer KEY, or X-API-Key: KEY."],
    [
      { authorization: "Bearer third" },
      "request: its API key is not one of this server's; expected the header Authorization: Bearer KEY, or X-API-Key: KEY.",
    ],
  ])("%j is refused", async (headers, error) => {
    for (const url of ["/v2", "/metrics", "/nothing", "/v2/models/small"]) {
      const reply = await own.ask({ url, headers });
      expect([reply.status, reply.json().error]).toEqual([401, error]);
      expect(reply.headers["www-authenticate"]).toBe("Bearer");
    }
  });

  it("either header is accepted, and probes, the description and the page need none", async () => {
    expect((await own.ask({ url: "/v2", headers: key })).status).toBe(200);
    expect((await own.ask({ url: "/v2", headers: { "x-api-key": "first" } })).status).toBe(200);
    for (const url of ["/v2/health/live", "/v2/health/ready", "/openapi.json"]) {
      expect((await own.ask({ url })).status).toBe(200);
    }
    const page = await own.server.http.inject("/try");
    expect([page.statusCode, page.headers["content-type"]]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.headers["content-security-policy"]).toContain("script-src 'self'");
    expect((await own.server.http.inject("/try.js")).headers["cross-origin-embedder-policy"]).toBe("require-corp");
  });
});

it("only named origins may ask from a browser", async () => {
  const preflight = (origin: string) =>
    own.server.http.inject({ method: "OPTIONS", url: "/classify", headers: { origin } });
  const allowed = await preflight("https://page.example");
  expect([allowed.statusCode, allowed.headers["access-control-allow-origin"]]).toEqual([204, "https://page.example"]);
  const other = await preflight("https://other.example");
  expect([other.statusCode, other.headers["access-control-allow-origin"]]).toEqual([401, undefined]);
});

it("models cannot be changed unless the server allows it", async () => {
  const { status, json } = await own.ask({ method: "POST", url: "/v2/repository/models/small/unload", headers: key });
  expect([status, json().error]).toEqual([
    403,
    "repository: this server does not let clients load and unload models. Start it with --model-control.",
  ]);
});

const classifyUrl = (url: string) => {
  const headers = { ...key, "content-type": "application/json" };
  return own.ask({ method: "POST", url: "/classify", payload: { url }, headers });
};

describe("images from elsewhere", () => {
  it.each([
    "file:///etc/passwd",
    "http://other.example/a.png",
    "http://user@localhost/a.png",
    "http://127.0.0.1/a.png",
    "x",
  ])("%s is refused", async (url) => {
    const { status, json } = await classifyUrl(url);
    expect([status, json().error]).toEqual([
      403,
      expect.stringMatching(
        /^url: this server does not download from there; .* expected http or https, host localhost\.$/,
      ),
    ]);
  });

  it("a name that stands for a private address is refused when it is connected to", async () => {
    const { status, json } = await classifyUrl("http://localhost:9/a.png");
    expect([status, json().error]).toEqual([502, "url of localhost:9: the download failed."]);
  });

  it("an allowed one is downloaded, up to the limit, without following redirects", async () => {
    const web = createWebServer(({ url }, response) => {
      if (url === "/moved") response.writeHead(302, { location: "/a.png" }).end();
      else response.end(url === "/large" ? Buffer.alloc(100_000) : own.png);
    });
    await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
    const { port } = web.address() as AddressInfo;
    const remote = (more: Partial<RemoteOptions> = {}) => {
      const read = remoteImages({ hosts: ["localhost"], maxBytes: 50_000, timeoutMs: 60_000, ...more });
      return (path: string) => read(`http://localhost:${port}${path}`, new AbortController().signal);
    };
    const open = remote({ isAllowed: () => true });
    expect(Buffer.from(await open("/a.png")).equals(own.png)).toBe(true);
    await expect(open("/moved")).rejects.toThrow("it answered with status 302");
    await expect(open("/large")).rejects.toThrow("the image is too large; expected at most 50000 bytes");
    // The name first stands for a public address, then for this machine.
    let asked = 0;
    const rebinding = remote({
      lookup: (_, __, callback) => {
        const address = asked++ === 0 ? "127.0.0.1" : "93.184.215.14";
        callback(null, [{ address, family: 4 }] as never);
      },
    });
    await expect(rebinding("/a.png")).rejects.toThrow("the download failed");
    expect(asked).toBe(1);
    web.close();
  });

  it("knows the addresses of the public Internet", () => {
    const open = ["93.184.215.14", "8.8.8.8", "2606:4700::1111"];
    const closed = [
      ...[
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
      ],
      ...[
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "x",
      ],
    ];
    expect(open.filter((address) => !isPublicAddress(address))).toEqual([]);
    expect(closed.filter(isPublicAddress)).toEqual([]);
  });
});
