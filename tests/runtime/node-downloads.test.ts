import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AbortedError, FileError } from "../../src/base/errors.ts";
import { readSource } from "../../src/base/source.ts";
import { cachedDownloads, type DownloadOptions, download, downloadSettings } from "../../src/runtime/node/downloads.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type Answer, cut, type LocalServer, part, serve, status, whole } from "./local-server.ts";

const body = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7919) >> 5);
const md5 = createHash("md5").update(body).digest("hex");

let cacheFolder: string;
let server: LocalServer;

beforeEach(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "xception-downloads-"));
});

afterEach(async () => {
  server?.close();
  await rm(cacheFolder, { recursive: true });
});

const quick = { backoffMs: 1, stallTimeoutMs: 5000 };

/** Downloads from a server that answers so, and makes sure that it is all there and nothing else. */
async function downloadFrom(answers: Answer[], options: Partial<DownloadOptions> = { md5 }): Promise<string> {
  server = await serve(body, ...answers);
  const path = await download(server.url, { cacheFolder, ...quick, ...options });
  expect(Buffer.compare(await readFile(path), body)).toBe(0);
  expect(await readdir(cacheFolder)).toHaveLength(1);
  return path;
}

async function refusal(answers: Answer[], options: Partial<DownloadOptions> = {}): Promise<string> {
  server = await serve(body, ...answers);
  const error: unknown = await download(server.url, { cacheFolder, md5, ...quick, ...options }).catch((cause) => cause);
  expect(error).toBeInstanceOf(FileError);
  return (error as Error).message.replaceAll(cacheFolder, "CACHE").replaceAll(server.url, "URL");
}

const remedy = `To do without a download, get the file some other way and put it at CACHE/weights.h5. Its MD5 is ${md5}.`;

test("a file is downloaded once, with progress to its end", async () => {
  const seen: number[] = [];
  const path = await downloadFrom([], {
    md5,
    onProgress: ({ receivedBytes, totalBytes }) => {
      expect(totalBytes).toBe(body.length);
      seen.push(receivedBytes);
    },
  });
  expect(path).toBe(join(cacheFolder, "weights.h5"));
  expect(seen.at(-1)).toBe(body.length);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(await download(server.url, { cacheFolder, md5, offline: true })).toBe(path);
  expect(server.requests).toEqual(["whole"]);
});

test("without an MD5, the address tells files of one name apart", async () => {
  const path = await downloadFrom([], {});
  expect(path).toMatch(/[\da-f]{16}-weights\.h5$/);
  const other = await download(`${server.url}?v=2`, { cacheFolder, ...quick });
  expect(other).not.toBe(path);
});

describe("what has come is not asked for again", () => {
  test("when the connection breaks", async () => {
    await downloadFrom([cut(100_000), cut(50_000)]);
    expect(server.requests).toEqual(["whole", "bytes=100000-", "bytes=150000-"]);
  });

  test("when the server falls silent", async () => {
    await downloadFrom([cut(100_000, "fall silent")], { md5, stallTimeoutMs: 500 });
    expect(server.requests).toEqual(["whole", "bytes=100000-"]);
  });

  test("when an earlier run was stopped", async () => {
    server = await serve(body, cut(100_000));
    const options = { cacheFolder, md5, ...quick };
    await expect(download(server.url, { ...options, attempts: 1 })).rejects.toThrow(
      "the connection broke after 100000 bytes",
    );
    expect(await readdir(cacheFolder)).toEqual(["weights.h5.free.InYxIg.partial"]);
    await download(server.url, options);
    expect(server.requests).toEqual(["whole", "bytes=100000-"]);
    expect(await readdir(cacheFolder)).toEqual(["weights.h5"]);
  });

  test("by a process that is no more", async () => {
    // A number beyond the largest of a process.
    const host = (await import("node:os")).hostname().replaceAll(/[^\w-]/g, "_");
    await writeFile(join(cacheFolder, `weights.h5.${host}-99999999-0123abcd.InYxIg.partial`), body.subarray(0, 70_000));
    await downloadFrom([]);
    expect(server.requests).toEqual(["bytes=70000-"]);
  });

  test("unless all but the name was there", async () => {
    await writeFile(join(cacheFolder, "weights.h5.free.InYxIg.partial"), body);
    await downloadFrom([]);
    expect(server.requests).toEqual(["bytes=300000-"]);
  });
});

describe("begins again", () => {
  test("if the server knows no parts", async () => {
    await downloadFrom([cut(100_000), whole]);
    expect(server.requests).toEqual(["whole", "bytes=100000-"]);
  });

  test("if the file on the server has changed", async () => {
    await downloadFrom([cut(100_000, "hang up", '"v0"')], {});
    expect(server.requests).toEqual(["whole", "bytes=100000-"]);
  });

  test("if nothing would tell whether the parts belong together", async () => {
    server = await serve(body, cut(100_000, "hang up", null));
    const options = { cacheFolder, ...quick };
    await expect(download(server.url, { ...options, attempts: 1 })).rejects.toThrow(
      "the connection broke after 100000 bytes",
    );
    expect(await readdir(cacheFolder)).toEqual([]);
    await download(server.url, options);
    expect(server.requests).toEqual(["whole", "whole"]);
  });

  test("once, if the MD5 is another", async () => {
    const wrong = body.toReversed();
    await downloadFrom([(request, response) => part()(request, response, wrong)]);
    expect(server.requests).toEqual(["whole", "whole"]);
  });

  test("if what is in the cache is damaged", async () => {
    await writeFile(join(cacheFolder, "weights.h5"), "something else");
    await downloadFrom([]);
  });
});

test("asks again after 503 and 500, and goes where it is sent", async () => {
  await downloadFrom([status(503), status(500), status(302, { location: "/elsewhere.h5" })]);
  expect(server.requests).toHaveLength(4);
});

describe("says what is wrong and what to do", () => {
  test("no such file", async () => {
    expect(await refusal([status(404)])).toBe(`download of URL: the server answered 404 Not Found. ${remedy}`);
    expect(server.requests).toHaveLength(1);
    expect(await readdir(cacheFolder)).toEqual([]);
  });

  test("a server that stays out of order", async () => {
    const answers = Array.from({ length: 9 }, () => status(503));
    expect(await refusal(answers, { attempts: 3 })).toBe(
      `download of URL: the server answered 503 Service Unavailable. ${remedy}`,
    );
    expect(server.requests).toHaveLength(3);
  });

  test("a server that is silent from the beginning", async () => {
    expect(await refusal([() => {}, () => {}], { attempts: 2, stallTimeoutMs: 200 })).toBe(
      `download of URL: no data arrived for 0.2 seconds. ${remedy}`,
    );
  });

  test("another file", async () => {
    const wrong: Answer = (request, response) => part()(request, response, body.toReversed());
    const found = createHash("md5").update(body.toReversed()).digest("hex");
    expect(await refusal([wrong, wrong])).toBe(
      `download of URL: what was received has the MD5 ${found} instead of ${md5}. ${remedy}`,
    );
    expect(await readdir(cacheFolder)).toEqual([]);
  });

  test("no network", async () => {
    server = await serve(body);
    server.close();
    const message = await download(server.url, { cacheFolder, ...quick }).catch((error: Error) => error.message);
    expect(message).toMatch(
      /^download of http:\/\/127[^ ]+: the server cannot be reached \(.*ECONNREFUSED.*\)\. To do/,
    );
  });

  test("offline", async () => {
    expect(await refusal([], { offline: true })).toBe(
      `download of URL: it is not in the cache, and downloads are switched off. ${remedy}`,
    );
    await writeFile(join(cacheFolder, "weights.h5"), "something else");
    expect(await refusal([], { offline: true })).toBe(
      `download of URL: the file in the cache has another MD5 than ${md5}. ${remedy}`,
    );
    expect(server.requests).toEqual([]);
  });

  test("stopped by the user", async () => {
    server = await serve(body, cut(100_000, "fall silent"));
    const stop = new AbortController();
    const onProgress = () => stop.abort();
    const stopped = download(server.url, { cacheFolder, md5, onProgress, signal: stop.signal });
    await expect(stopped).rejects.toThrow(AbortedError);
    await expect(stopped).rejects.toThrow(`download of ${server.url}: it was stopped. The next download resumes it.`);
    expect(await readdir(cacheFolder)).toEqual(["weights.h5.free.InYxIg.partial"]);
  });

  test("no folder for it", async () => {
    await writeFile(join(cacheFolder, "file"), "");
    const folder = join(cacheFolder, "file", "cache");
    server = await serve(body);
    await expect(download(server.url, { cacheFolder: folder })).rejects.toThrow(
      `folder "${folder}": it cannot be made (EEXIST: file already exists, mkdir '${join(cacheFolder, "file")}'). Choose another folder.`,
    );
  });

  test("a file system that takes no folders", async (context) => {
    if (!existsSync("/proc/self")) return context.skip("there is no /proc here");
    const asked = download("http://localhost/weights.h5", { cacheFolder: "/proc/no/cache" });
    await expect(asked).rejects.toThrow(
      'folder "/proc/no/cache": it cannot be made (ENOENT: no such file or directory',
    );
  });
});

test("several at a time do not disturb each other", async () => {
  server = await serve(body, cut(100_000), cut(150_000), cut(50_000));
  const all = await Promise.all([1, 2, 3, 4].map(() => download(server.url, { cacheFolder, md5, ...quick })));
  expect(new Set(all)).toEqual(new Set([join(cacheFolder, "weights.h5")]));
  expect(Buffer.compare(await readFile(all[0]!), body)).toBe(0);
  expect(await readdir(cacheFolder)).toEqual(["weights.h5"]);
});

describe("addresses in place of paths", () => {
  test("are read through the cache, with the MD5 behind them", async () => {
    server = await serve(body);
    const { read } = cachedDownloads({ cacheFolder, ...quick });
    expect(Buffer.compare(await read(`${server.url}#md5=${md5.toUpperCase()}`), body)).toBe(0);
    expect(await readdir(cacheFolder)).toEqual(["weights.h5"]);
    expect(await readSource(join(cacheFolder, "weights.h5"), nodePlatform)).toEqual(body);
    await expect(readSource(join(cacheFolder, "none.h5"), nodePlatform)).rejects.toThrow("there is no such file");
  });

  test.each([
    [
      "ftp://host/weights.h5",
      'address ftp://host/weights.h5: it cannot be read; received "ftp:"; expected http: or https:.',
    ],
    ["http://", "address http://: this is not a URL."],
    [
      "http://host/w.h5#md5=12",
      'address http://host/w.h5#md5=12: this is not an MD5; received "#md5=12"; expected #md5= and 32 digits.',
    ],
  ])("but not %s", async (address, message) => {
    await expect(cachedDownloads({ cacheFolder }).read(address)).rejects.toThrow(message);
  });

  test("the environment says where the cache is, and more", () => {
    expect(
      downloadSettings({ XDG_CACHE_HOME: "/caches", XCEPTION_OFFLINE: "1", XCEPTION_WEIGHTS_URL: "http://m/" }),
    ).toEqual({
      cacheFolder: "/caches/xception-ts",
      offline: true,
      mirror: "http://m/",
    });
    const plain = downloadSettings({ XDG_CACHE_HOME: "relative", XCEPTION_OFFLINE: "0", XCEPTION_WEIGHTS_URL: "" });
    expect(plain).toMatchObject({ offline: false, mirror: undefined });
    expect(plain.cacheFolder).toMatch(/\/\.cache\/xception-ts$/);
  });
});
