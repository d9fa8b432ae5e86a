import { createHash } from "node:crypto";
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileError, UsageError } from "../../src/base/errors.ts";
import { cachedDownloads } from "../../src/runtime/node/downloads.ts";
import { type HubSettings, hubSettings } from "../../src/runtime/node/hub.ts";
import { type HubServer, serveHub } from "./hub-server.ts";
import { cut, status } from "./local-server.ts";

const weights = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7919) >> 5);
const sha256 = createHash("sha256").update(weights).digest("hex");
const config = '{"architecture": "legacy_xception"}';
const address = "hf://owner/repo@main/model.safetensors";

let work: string;
let server: HubServer;

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-hub-"));
  server = await serveHub({ "model.safetensors": weights, "config.json": config, "a b/x.bin": weights });
});

afterEach(async () => {
  server.close();
  await rm(work, { recursive: true });
});

function settings(environment: Record<string, string> = {}): HubSettings {
  return hubSettings({ HF_ENDPOINT: server.endpoint, HF_HOME: work, ...environment });
}

function downloads(environment: Record<string, string> = {}, options: { offline?: boolean; refresh?: boolean } = {}) {
  const quick = { backoffMs: 1, stallTimeoutMs: 2000, attempts: 3 };
  return cachedDownloads({ cacheFolder: join(work, "own"), hub: settings(environment), ...quick, ...options });
}

async function failure(of: Promise<unknown>): Promise<FileError> {
  const error: unknown = await of.catch((cause) => cause);
  expect(error).toBeInstanceOf(FileError);
  return error as FileError;
}

const repo = () => join(work, "hub/models--owner--repo");

test("a large file comes from the host that the hub redirects to, into the cache of huggingface_hub", async () => {
  expect(Buffer.compare(await downloads().read(address), weights)).toBe(0);
  expect(server.hub.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "HEAD /owner/repo/resolve/main/model.safetensors",
  ]);
  expect(server.storage.map(({ method }) => method)).toEqual(["GET"]);
  expect(await readFile(join(repo(), "refs/main"), "utf8")).toBe(server.commit);
  const snapshot = join(repo(), "snapshots", server.commit, "model.safetensors");
  expect(await readlink(snapshot)).toBe(`../../blobs/${sha256}`);
  expect(await readdir(join(repo(), "blobs"))).toEqual([sha256]);
  expect(await downloads().cached!(address)).toBe(snapshot);
});

test("a small file comes from the hub itself, checked by git's hash", async () => {
  expect(new TextDecoder().decode(await downloads().read("hf://owner/repo@main/config.json"))).toBe(config);
  expect(server.hub.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
  const hash = createHash("sha1").update(`blob ${config.length}\0${config}`).digest("hex");
  expect(await readdir(join(repo(), "blobs"))).toEqual([hash]);
});

test("names in the address are encoded, and references other than branches work", async () => {
  expect(Buffer.compare(await downloads().read("hf://owner/repo@refs%2Fpr%2F1/a b/x.bin"), weights)).toBe(0);
  expect(server.hub[0]!.path).toBe("/owner/repo/resolve/refs%2Fpr%2F1/a%20b/x.bin");
  expect(await readFile(join(repo(), "refs/refs/pr/1"), "utf8")).toBe(server.commit);
});

test("a renamed repository is followed", async () => {
  expect(Buffer.compare(await downloads().read("hf://old/repo@main/model.safetensors"), weights)).toBe(0);
  expect(server.hub.map(({ path }) => path.split("/resolve")[0])).toEqual(["/old/repo", "/owner/repo"]);
});

describe("a cached file", () => {
  test("of a branch needs one request as long as it has not changed, then another download", async () => {
    await downloads().read(address);
    await downloads().read(address);
    expect([server.hub.length, server.storage.length]).toEqual([2, 1]);
    server.commit = "d".repeat(40);
    server.files = { "model.safetensors": weights.toReversed() };
    expect(Buffer.compare(await downloads().read(address), weights.toReversed())).toBe(0);
    expect([server.hub.length, server.storage.length]).toEqual([3, 2]);
    expect(await readFile(join(repo(), "refs/main"), "utf8")).toBe(server.commit);
  });

  test("of a commit needs no request, unless asked to refresh it", async () => {
    const fixed = `hf://owner/repo@${server.commit}/model.safetensors`;
    await downloads().read(fixed);
    await downloads().read(fixed);
    expect(server.hub).toHaveLength(1);
    await downloads({}, { refresh: true }).read(fixed);
    expect([server.hub.length, server.storage.length]).toEqual([2, 2]);
  });

  test("is used offline, and where the hub cannot be reached", async () => {
    await downloads().read(address);
    for (const offline of [downloads({ HF_HUB_OFFLINE: "1" }), downloads({}, { offline: true })]) {
      expect(Buffer.compare(await offline.read(address), weights)).toBe(0);
    }
    expect(server.hub).toHaveLength(1);
    server.close();
    expect(Buffer.compare(await downloads().read(address), weights)).toBe(0);
  });

  test("is that of Python's huggingface_hub, too", async () => {
    await mkdir(join(repo(), "refs"), { recursive: true });
    await mkdir(join(repo(), "blobs"));
    await mkdir(join(repo(), "snapshots", server.commit), { recursive: true });
    await writeFile(join(repo(), "refs/main"), server.commit);
    await writeFile(join(repo(), "blobs", sha256), weights);
    await symlink(`../../blobs/${sha256}`, join(repo(), "snapshots", server.commit, "model.safetensors"));
    expect(Buffer.compare(await downloads({ HF_HUB_OFFLINE: "1" }).read(address), weights)).toBe(0);
    await downloads().read(address);
    expect(server.storage).toEqual([]);
    expect((await lstat(join(repo(), "snapshots", server.commit, "model.safetensors"))).isSymbolicLink()).toBe(true);
  });

  test("is downloaded again if it is damaged", async () => {
    await downloads().read(address);
    const blob = await realpath((await downloads().cached!(address))!);
    await writeFile(blob, "damaged");
    expect((await failure(downloads({ HF_HUB_OFFLINE: "1" }).read(address))).message).toMatch("is damaged");
    expect(Buffer.compare(await downloads().read(address), weights)).toBe(0);
  });
});

test("an interrupted download is resumed, under another signature", async () => {
  server.storageAnswers.push(cut(200_000, "hang up", '"model.safetensors"'));
  expect(Buffer.compare(await downloads().read(address), weights)).toBe(0);
  expect(server.storage).toHaveLength(2);
  server.storageAnswers.push(...[1, 2, 3].map(() => cut(1000)));
  await rm(repo(), { recursive: true });
  await failure(downloads().read(address));
  expect(Buffer.compare(await downloads().read(address), weights)).toBe(0);
  expect(server.storage.at(-1)!.path).not.toBe(server.storage.at(-2)!.path);
});

describe("the token", () => {
  const token = "hf_secret";

  test("is sent to the endpoint, and to no other host", async () => {
    await downloads({ HF_TOKEN: token }).read(address);
    await downloads({ HF_TOKEN: token }).read("hf://owner/repo@main/config.json");
    expect(server.hub.map(({ authorization }) => authorization)).toEqual(Array(3).fill(`Bearer ${token}`));
    expect(server.storage.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test("is not sent on, wherever the hub redirects to", async () => {
    const other = await serveHub({ "config.json": config });
    // Both for the question and for the file.
    server.hubAnswer = status(302, { location: `${other.endpoint}/owner/repo/resolve/main/config.json` });
    const { read } = downloads({ HF_TOKEN: token });
    expect(new TextDecoder().decode(await read("hf://owner/repo@main/config.json"))).toBe(config);
    server.files = { "config.json": config };
    const moved = { location: `${other.endpoint}/owner/repo/resolve/main/config.json` };
    const head = server.hub.length;
    await rm(repo(), { recursive: true });
    const reading = read("hf://owner/repo@main/config.json");
    while (server.hub.length === head) await new Promise((resolve) => setTimeout(resolve, 1));
    server.hubAnswer = status(302, moved);
    expect(new TextDecoder().decode(await reading)).toBe(config);
    expect(server.hub.at(-1)!.method).toBe("GET");
    expect(other.hub.map(({ method }) => method)).toEqual(["HEAD", "GET", "GET"]);
    expect(other.hub.map(({ authorization }) => authorization)).toEqual([undefined, undefined, undefined]);
    other.close();
  });

  test("is in no error, and signed URLs are not either", async () => {
    server.storageAnswers.push(status(403));
    const { message, cause } = await failure(downloads({ HF_TOKEN: token }).read(address));
    expect(`${message} ${cause}`).toMatch(`download of ${address}: the server answered 403 Forbidden. To work without`);
    expect(`${message} ${cause}`).not.toMatch(/hf_secret|signature/);
  });
});

describe("says what is wrong", () => {
  test("no such file, which callers can distinguish", async () => {
    const error = await failure(downloads().read("hf://owner/repo@main/none.bin"));
    expect(error.message).toBe(
      "download of hf://owner/repo@main/none.bin: the server answered 404 Not Found (EntryNotFound). Check the names of the repository, the revision and the file.",
    );
    expect(error.isMissing).toBe(true);
  });

  test("no such repository, or a private one", async () => {
    const error = await failure(downloads().read("hf://nobody/repo@main/model.safetensors"));
    expect(error.message).toBe(
      "download of hf://nobody/repo@main/model.safetensors: the server answered 401 Unauthorized (RepoNotFound). Check its name; private and gated repositories need an access token in HF_TOKEN.",
    );
    expect(error.isMissing).toBe(false);
  });

  test("another file than announced", async () => {
    server.storageAnswers.push((_request, response) => void response.writeHead(200).end("something else"));
    server.storageAnswers.push((_request, response) => void response.writeHead(200).end("something else"));
    const { message } = await failure(downloads().read(address));
    expect(message).toMatch(`the file received has the SHA-256 `);
    expect(await downloads().cached!(address)).toBeUndefined();
  });

  test("a server that is no hub", async () => {
    server.hubAnswer = status(200);
    expect((await failure(downloads().read(address))).message).toBe(
      `download of ${address}: the server does not report the file's hash and commit.`,
    );
  });

  test("not in the cache, offline", async () => {
    const error = await failure(downloads({ HF_HUB_OFFLINE: "1" }).read(address));
    expect(error.message).toBe(`download of ${address}: it is not in the cache, and downloads are switched off.`);
    expect(server.hub).toEqual([]);
  });

  test("an endpoint that is no URL", async () => {
    await expect(downloads({ HF_ENDPOINT: "hub" }).read(address)).rejects.toThrow(
      'address of the Hugging Face Hub (HF_ENDPOINT): this is not a URL; received "hub"; expected http://… or https://….',
    );
  });

  test.each([
    "hf://owner",
    "hf://owner/repo@/x",
    "hf://owner/../x",
    "hf://owner/repo@..%2F../x",
    "hf://owner/repo@%2e%2e/x",
    "hf://owner/repo/../../x",
    "hf://owner/repo/a//b",
  ])("the address %s", async (wrong) => {
    await expect(downloads().read(wrong)).rejects.toThrow(UsageError);
    await expect(downloads().read(wrong)).rejects.toThrow(
      `address ${wrong}: this is not an address on Hugging Face; expected hf://owner/repo, hf://owner/repo@revision or hf://owner/repo/file.`,
    );
  });
});

test("the environment says where the hub and its cache are", () => {
  expect(hubSettings({ XDG_CACHE_HOME: "/caches" })).toEqual({
    endpoint: "https://huggingface.co",
    cacheFolder: "/caches/huggingface/hub",
    offline: false,
    token: undefined,
  });
  expect(
    hubSettings({ HF_HOME: "/hf", HF_HUB_OFFLINE: "yes", HF_TOKEN: "t", HF_ENDPOINT: "http://hub.example" }),
  ).toEqual({
    endpoint: "http://hub.example",
    cacheFolder: "/hf/hub",
    offline: true,
    token: "t",
  });
  expect(hubSettings({ HF_HUB_CACHE: "/hub", HF_HOME: "/hf" }).cacheFolder).toBe("/hub");
});
