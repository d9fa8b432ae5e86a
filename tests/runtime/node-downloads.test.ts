import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AbortedError, FileError } from "../../src/base/errors.ts";
import { readSource } from "../../src/base/source.ts";
import { type DownloadOptions, download } from "../../src/runtime/node/download.ts";
import { cachedDownloads, downloadSettings } from "../../src/runtime/node/downloads.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type Answer, cut, type LocalServer, part, serve, status, whole } from "./local-server.ts";

const body = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7919) >> 5);
const md5 = createHash("md5").update(body).digest("hex");
const checksum = { algorithm: "md5", digest: md5 } as const;

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
async function downloadFrom(answers: Answer[], options: Partial<DownloadOptions> = { checksum }): Promise<string> {
  server = await serve(body, ...answers);
  const path = await download({ url: server.url }, { cacheFolder, ...quick, ...options });
  expect(Buffer.compare(await readFile(path), body)).toBe(0);
  expect(await readdir(cacheFolder)).toHaveLength(1);
  return path;
}

async function refusal(answers: Answer[], options: Partial<DownloadOptions> = {}): Promise<string> {
  server = await serve(body, ...answers);
  const error: unknown = await download({ url: server.url }, { cacheFolder, checksum, ...quick, ...options }).catch(
    (cause) => cause,
  );
  expect(error).toBeInstanceOf(FileError);
  return (error as Error).message.replaceAll(cacheFolder, "CACHE").replaceAll(server.url, "URL");
}

const remedy = `To work without a download, get the file elsewhere and put it at CACHE/weights.h5. Its MD5 is ${md5}.`;

test("a file is downloaded once, with progress to its end", async () => {
  const seen: number[] = [];
  const path = await downloadFrom([], {
    checksum,
    onProgress: ({ receivedBytes, totalBytes }) => {
      expect(totalBytes).toBe(body.length);
      seen.push(receivedBytes);
    },
  });
  expect(path).toBe(join(cacheFolder, "weights.h5"));
  expect(seen.at(-1)).toBe(body.length);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(await download({ url: server.url }, { cacheFolder, checksum, offline: true })).toBe(path);
  expect(server.requests).toEqual(["whole"]);
});

test("without an MD5, the address tells files of one name apart", async () => {
  const path = await downloadFrom([], {});
  expect(path).toMatch(/[\da-f]{16}-weights\.h5$/);
  const other = await download({ url: `${server.url}?v=2` }, { cacheFolder, ...quick });
  expect(other).not.toBe(path);
});

describe("what has come is not asked for again", () => {
  test("when the connection breaks", async () => {
    await downloadFrom([cut(100_000), cut(50_000)]);
    expect(server.requests).toEqual(["whole", "bytes=100000-", "bytes=150000-"]);
  });

  test("when the server falls silent", async () => {
    await downloadFrom([cut(100_000, "fall silent")], { checksum, stallTimeoutMs: 500 });
    expect(server.requests).toEqual(["whole", "bytes=100000-"]);
  });

  test("when an earlier run was stopped", async () => {
    server = await serve(body, cut(100_000));
    const options = { cacheFolder, checksum, ...quick };
    await expect(download({ url: server.url }, { ...options, attempts: 1 })).rejects.toThrow(
      "the connection broke after 100000 bytes",
    );
    expect(await readdir(cacheFolder)).toEqual(["weights.h5.free.InYxIg.partial"]);
    await download({ url: server.url }, options);
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
    await expect(download({ url: server.url }, { ...options, attempts: 1 })).rejects.toThrow(
      "the connection broke after 100000 bytes",
    );
    expect(await readdir(cacheFolder)).toEqual([]);
    await download({ url: server.url }, options);
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
      `download of URL: the file received has the MD5 ${found} instead of ${md5}. ${remedy}`,
    );
    expect(await readdir(cacheFolder)).toEqual([]);
  });

  test("no network", async () => {
    server = await serve(body);
    server.close();
    const message = await download({ url: server.url }, { cacheFolder, ...quick }).catch(
      (error: Error) => error.message,
    );
    expect(message).toMatch(
      /^download of http:\/\/127[^ ]+: the server cannot be reached \(.*ECONNREFUSED.*\)\. To work/,
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
    const stopped = download({ url: server.url }, { cacheFolder, checksum, onProgress, signal: stop.signal });
    await expect(stopped).rejects.toThrow(AbortedError);
    await expect(stopped).rejects.toThrow(`download of ${server.url}: it was stopped. The next download resumes it.`);
    expect(await readdir(cacheFolder)).toEqual(["weights.h5.free.InYxIg.partial"]);
  });

  test("no folder for it", async () => {
    await writeFile(join(cacheFolder, "file"), "");
    const folder = join(cacheFolder, "file", "cache");
    server = await serve(body);
    await expect(download({ url: server.url }, { cacheFolder: folder })).rejects.toThrow(
      `folder "${folder}": it cannot be made (EEXIST: file already exists, mkdir '${join(cacheFolder, "file")}'). Choose another folder.`,
    );
  });

  test("a file system that takes no folders", async (context) => {
    if (!existsSync("/proc/self")) return context.skip("there is no /proc here");
    const asked = download({ url: "http://localhost/weights.h5" }, { cacheFolder: "/proc/no/cache" });
    await expect(asked).rejects.toThrow(
      'folder "/proc/no/cache": it cannot be made (ENOENT: no such file or directory',
    );
  });
});

describe("only caches the file itself", () => {
  const page: Answer = (_, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("\uFEFF \n<!DOCTYPE html><title>Log in</title>");
  };
  const pointer: Answer = (_, response) => {
    response.writeHead(200).end("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 300000\n");
  };
  const plain = { checksum: undefined };

  test.each([
    ["a web page with status 200", page, "the server sent a web page in place of the file"],
    ["a pointer of Git LFS", pointer, "the server sent a Git LFS pointer in place of the file"],
  ])("not %s", async (_, answer, what) => {
    expect(await refusal([answer], plain)).toMatch(`download of URL: ${what}. To work without a download`);
    expect(server.requests).toEqual(["whole"]);
    expect(await readdir(cacheFolder)).toEqual([]);
    expect(Buffer.compare(await readFile(await download({ url: server.url }, { cacheFolder, ...quick })), body)).toBe(
      0,
    );
  });

  test("not a page that an earlier version has cached", async () => {
    server = await serve(body);
    const path = await download({ url: server.url }, { cacheFolder, ...quick });
    await writeFile(path, "<html></html>");
    await download({ url: server.url }, { cacheFolder, ...quick });
    expect(Buffer.compare(await readFile(path), body)).toBe(0);
  });

  test("up to a size that the server announces", async () => {
    const message = await refusal([], { ...plain, sizeLimit: 200_000 });
    expect(message).toMatch("download of URL: the file is larger than the limit of 0.2 MB. To work");
    expect(server.requests).toEqual(["whole"]);
    expect(await readdir(cacheFolder)).toEqual([]);
  });

  test("up to a size that the server does not announce", async () => {
    const endless: Answer = (_, response) => {
      response.writeHead(200);
      const send = () => response.write(body, () => setTimeout(send, 1));
      send();
    };
    const message = await refusal([endless], { ...plain, sizeLimit: 1_000_000 });
    expect(message).toMatch("the file is larger than the limit of 1 MB");
    expect(await readdir(cacheFolder)).toEqual([]);
  });
});

test("a file is downloaded again on request, and the cached one stays until then", async () => {
  server = await serve(body, part(), status(404));
  const options = { cacheFolder, ...quick };
  const path = await download({ url: server.url }, options);
  await writeFile(path, "old");
  await expect(download({ url: server.url }, { ...options, refresh: true })).rejects.toThrow("404");
  expect(await readFile(path, "utf8")).toBe("old");
  await download({ url: server.url }, { ...options, refresh: true });
  expect(Buffer.compare(await readFile(path), body)).toBe(0);
  expect(server.requests).toHaveLength(3);
});

describe("a server is given up that always answers", () => {
  const wrong206: Answer = (_, response) => {
    response.writeHead(206, { "content-range": `bytes 0-99/${body.length}` }).end(body.subarray(0, 100));
  };

  test("with the wrong range after a broken connection", async () => {
    const answers = Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? cut(100_000) : wrong206));
    expect(await refusal(answers)).toMatch("download of URL: ");
    expect(server.requests).toHaveLength(5);
  });

  test("with a few bytes", async () => {
    const answers = Array.from({ length: 100 }, () => cut(100));
    expect(await refusal(answers)).toMatch("the connection broke");
    expect(server.requests).toHaveLength(5);
  });

  test("with more bytes than announced", async () => {
    const long: Answer = (request, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
      response.writeHead(206, { etag: '"v1"', "content-range": `bytes ${from}-${body.length - 1}/${body.length}` });
      response.end(Buffer.concat([body, body]));
    };
    expect(await refusal([cut(100_000), long, cut(100_000), long, cut(100_000), long], { attempts: 4 })).toMatch(
      "the server sent more bytes than announced",
    );
  });
});

test("several at a time do not disturb each other", async () => {
  server = await serve(body, cut(100_000), cut(150_000), cut(50_000));
  const all = await Promise.all(
    [1, 2, 3, 4].map(() => download({ url: server.url }, { cacheFolder, checksum, ...quick })),
  );
  expect(new Set(all)).toEqual(new Set([join(cacheFolder, "weights.h5")]));
  expect(Buffer.compare(await readFile(all[0]!), body)).toBe(0);
  expect(await readdir(cacheFolder)).toEqual(["weights.h5"]);
});

describe("addresses in place of paths", () => {
  test("are read through the cache, with the MD5 behind them", async () => {
    server = await serve(body);
    const { read } = cachedDownloads({ cacheFolder, ...quick });
    expect(Buffer.compare(await read(`${server.url}#md5=${md5.toUpperCase()}`), body)).toBe(0);
    const sha256 = createHash("sha256").update(body).digest("hex");
    expect(Buffer.compare(await read(`${server.url}#sha256=${sha256}`), body)).toBe(0);
    expect(server.requests).toEqual(["whole"]);
    await expect(read(`${server.url}#sha256=${"0".repeat(64)}`)).rejects.toThrow(
      `the file received has the SHA-256 ${sha256} instead of ${"0".repeat(64)}.`,
    );
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
    [
      "http://host/w.h5#sha256=x",
      'address http://host/w.h5#sha256=x: this is not a SHA-256; received "#sha256=x"; expected #sha256= and 64 digits.',
    ],
  ])("but not %s", async (address, message) => {
    await expect(cachedDownloads({ cacheFolder }).read(address)).rejects.toThrow(message);
  });

  test("the environment says where the cache is, and more", () => {
    expect(
      downloadSettings({ XDG_CACHE_HOME: "/caches", XCEPTION_OFFLINE: "1", XCEPTION_WEIGHTS_URL: "http://m/" }),
    ).toMatchObject({
      cacheFolder: "/caches/xception-ts",
      offline: true,
      mirror: "http://m/",
    });
    const plain = downloadSettings({ XDG_CACHE_HOME: "relative", XCEPTION_OFFLINE: "0", XCEPTION_WEIGHTS_URL: "" });
    expect(plain).toMatchObject({ offline: false, mirror: undefined });
    expect(plain.cacheFolder).toMatch(/\/\.cache\/xception-ts$/);
    // Not the current folder.
    vi.stubEnv("HOME", "");
    vi.stubEnv("USERPROFILE", "");
    const { cacheFolder: folder, hub } = downloadSettings({ HOME: "" });
    vi.unstubAllEnvs();
    expect(folder).toBe(join(userInfo().homedir, ".cache", "xception-ts"));
    expect(hub.cacheFolder).toBe(join(userInfo().homedir, ".cache", "huggingface", "hub"));
  });
});
