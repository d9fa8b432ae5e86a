import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { noisePng } from "./noise-png.ts";
import { serving, testServer, validating } from "./serving.ts";

const own = serving();

const post = (query = "", payload: string | Uint8Array = own.png, headers = { "content-type": "image/png" }) => {
  return own.ask({ method: "POST", url: `/classify${query}`, payload: Buffer.from(payload as Uint8Array), headers });
};

describe("POST /classify", () => {
  it("answers with the classifier's own predictions", async () => {
    const { status, headers, json } = await post();
    expect({ status, id: headers["x-request-id"] }).toEqual({
      status: 200,
      id: expect.stringMatching(/^[\da-f-]{36}$/),
    });
    const predictions = await own.classifier.classify(own.png);
    expect(json()).toEqual({ model_name: "small", model_version: "1", predictions });
  });

  it("resizes images of any size as the classifier does, whatever their content type claims", async () => {
    const large = await noisePng(2, [140, 200]);
    const { json } = await post("", large, { "content-type": "application/octet-stream" });
    expect(json().predictions).toEqual(await own.classifier.classify(large));
  });

  it("returns the top classes above a threshold", async () => {
    const [best, second] = await own.classifier.classify(own.png);
    expect((await post("?top=2")).json().predictions).toEqual([best, second]);
    const between = (best!.probability + second!.probability) / 2;
    expect((await post(`?threshold=${between}`)).json().predictions).toEqual([best]);
  });

  it("reads the first file of a form", async () => {
    const payload = [
      '--x\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\ncontent-type: image/png\r\n\r\n',
      Buffer.from(own.png),
      "\r\n--x--\r\n",
    ];
    const body = Buffer.concat(payload.map((part) => Buffer.from(part)));
    const { json } = await post("", body, { "content-type": "multipart/form-data; boundary=x" });
    expect(json().predictions).toEqual(await own.classifier.classify(own.png));
    const empty = await post("", "--x--\r\n", { "content-type": "multipart/form-data; boundary=x" });
    const damaged = await post("", "{}", { "content-type": "multipart/form-data" });
    expect([damaged.status, damaged.json().error]).toEqual([
      400,
      "request: the form is damaged (Multipart: Boundary not found).",
    ]);
    expect([empty.status, empty.json().error]).toEqual([
      400,
      "request: the form has no file; expected one file, an image.",
    ]);
  });

  it.each([
    ["", "", 400, "request: it has no body; expected an image: JPEG, PNG, WebP …."],
    [
      "",
      "no image",
      400,
      "image of 8 bytes: this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP.",
    ],
    ["?top=0", "x", 400, 'parameter top: this value is not allowed; received "0"; expected a whole number from 1.'],
    [
      "?threshold=2",
      "x",
      400,
      'parameter threshold: this value is not allowed; received "2"; expected a number from 0, up to 1.',
    ],
    ["?model=other", "x", 404, 'repository: it has no such model; received "other"; expected one of small.'],
  ])("refuses %s %j", async (query, payload, status, error) => {
    const reply = await post(query, payload);
    expect([reply.status, reply.json()]).toEqual([status, { error }]);
  });

  it("takes bodies compressed by gzip and deflate, and refuses others and damaged ones", async () => {
    const expected = (await post()).json();
    const image = { "content-type": "image/png" };
    for (const [encoding, compress] of [["gzip", gzipSync] as const, ["deflate", deflateSync] as const]) {
      const headers = { ...image, "content-encoding": encoding };
      expect((await post("", compress(own.png), headers)).json()).toEqual(expected);
      const upperCase = { ...image, "content-encoding": encoding.toUpperCase() };
      expect((await post("", compress(own.png), upperCase)).json()).toEqual(expected);
      const damaged = await post("", "x", headers);
      expect([damaged.status, damaged.json().error]).toEqual([
        400,
        expect.stringMatching(/^request: the compressed body is damaged \((unexpected end of file|.* header.*)\)\.$/),
      ]);
    }
    const brotli = await post("", "x", { ...image, "content-encoding": "br" } as never);
    expect([brotli.status, brotli.json().error]).toEqual([
      415,
      'header Content-Encoding: it is not supported; received "br"; expected gzip or deflate.',
    ]);
    const form = { "content-type": "multipart/form-data; boundary=b", "content-encoding": "gzip" };
    expect((await post("", "x", form)).json().error).toBe(
      'header Content-Encoding: it is not supported; received "gzip"; expected a form that is not compressed.',
    );
  });

  it("refuses bodies above the limit, compressed or not", async () => {
    const server = await testServer({ source: own.model, settings: { maxBodyBytes: 1024, pixelLimit: 5000 } });
    await server.load();
    const ask = await validating(server);
    const large = await ask({ method: "POST", url: "/classify", payload: Buffer.alloc(1025) });
    expect(large.status).toBe(413);
    const bomb = await ask({
      method: "POST",
      url: "/classify",
      headers: { "content-encoding": "gzip" },
      payload: gzipSync(Buffer.alloc(1025)),
    });
    expect([bomb.status, bomb.json().error]).toEqual([
      413,
      "request: the decompressed body is too large; expected at most 1024 bytes.",
    ]);
    const { status, json } = await ask({ method: "POST", url: "/classify", payload: await tooManyPixels() });
    expect([status, json().error]).toEqual([
      400,
      expect.stringMatching(/the image has too many pixels; expected at most 5000 pixels\. .*\(--pixel-limit\)\.$/),
    ]);
    await server.close();
  });
});

/** A small file of an image of 100×100 equal pixels. */
async function tooManyPixels(): Promise<Buffer> {
  const { nodePlatform } = await import("../../src/runtime/node/platform.ts");
  const image = { width: 100, height: 100, data: new Uint8Array(30_000) };
  return Buffer.from(await nodePlatform.images.encodePng(image));
}

it("a path that does not exist, and a method that is not allowed", async () => {
  const { status, json } = await own.ask({ url: "/nothing?key=secret" });
  expect([status, json().error]).toEqual([
    404,
    'request: there is no such endpoint; received "GET /nothing"; expected one of those in /openapi.json.',
  ]);
  expect((await own.ask({ url: "/classify" })).status).toBe(404);
});

it("a path that cannot be decoded, and names of models up to the longest file name", async () => {
  const damaged = await own.ask({ url: "/v2/models/%ff" });
  expect([damaged.status, damaged.json()]).toEqual([
    404,
    {
      error:
        'request: there is no such endpoint; received "GET /v2/models/%ff"; expected one of those in /openapi.json.',
    },
  ]);
  const name = "ö".repeat(127);
  const { json } = await own.ask({ url: `/v2/models/${encodeURIComponent(name)}` });
  expect(json()).toEqual({ error: `repository: it has no such model; received "${name}"; expected one of small.` });
  const longer = await own.ask({ url: `/v2/models/${"a".repeat(766)}` });
  expect([longer.status, Object.keys(longer.json())]).toEqual([404, ["error"]]);
});
