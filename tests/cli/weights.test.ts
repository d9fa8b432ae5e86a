import { existsSync } from "node:fs";
import { mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type HubServer, serveHub } from "../runtime/hub-server.ts";
import { type LocalServer, serve } from "../runtime/local-server.ts";
import { capture } from "./capture.ts";

let work: string;
let server: HubServer;

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-weights-"));
  server = await serveHub({ "model.safetensors": "not weights", "config.json": "{}" });
  vi.stubEnv("XDG_CACHE_HOME", work);
  vi.stubEnv("HF_HOME", join(work, "hf"));
  vi.stubEnv("HF_ENDPOINT", server.endpoint);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  server.close();
  await rm(work, { recursive: true });
});

test("published weights are listed with license, size and the cached file, and removed by name", async () => {
  const name = "timm/legacy_xception.tf_in1k";
  expect((await capture(["weights"])).stdout).toMatchInlineSnapshot(`
    "imagenet                      xception         MIT          92 MB  not cached
    imagenet                      inception-v3     MIT          95 MB  not cached
    timm/legacy_xception.tf_in1k  legacy_xception  Apache-2.0   92 MB  not cached
    timm/xception41.tf_in1k       xception41       Apache-2.0  108 MB  not cached
    timm/xception65.tf_in1k       xception65       Apache-2.0  160 MB  not cached
    timm/xception71.tf_in1k       xception71       Apache-2.0  170 MB  not cached
    timm/xception41p.ra3_in1k     xception41p      Apache-2.0  108 MB  not cached
    timm/xception65.ra3_in1k      xception65       Apache-2.0  160 MB  not cached
    timm/xception65p.ra3_in1k     xception65p      Apache-2.0  160 MB  not cached
    "
  `);
  const snapshot = join(work, "hf/hub/models--timm--legacy_xception.tf_in1k/snapshots", server.commit);
  const { exitCode, stderr } = await capture(["summary", name]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`(cached as ${join(snapshot, "model.safetensors")}): unknown file format`);
  const listed = await capture(["weights"]);
  expect(listed.stdout).toContain(`${name}  legacy_xception  Apache-2.0   92 MB  cached as ${snapshot}`);
  const blob = await realpath(join(snapshot, "model.safetensors"));
  const files = ["model.safetensors", "config.json"].map((file) => join(snapshot, file));
  const [, , described] = JSON.parse((await capture(["weights", "--json"])).stdout);
  expect(described).toEqual({
    name,
    architecture: "legacy_xception",
    license: "Apache-2.0",
    bytes: 91_641_920,
    files,
  });

  const removed = await capture(["weights", "rm", name, "--json"]);
  expect(removed).toMatchObject({ exitCode: 0, stderr: "" });
  expect(JSON.parse(removed.stdout)).toEqual({ removed: files });
  expect([await readdir(snapshot), existsSync(blob)]).toEqual([[], false]);
  expect(await capture(["weights", "rm", name])).toMatchObject({
    exitCode: 1,
    stderr: `error: weights "${name}": they are not cached.\n`,
  });
});

test("rm rejects unknown names, and removes files of any repository", async () => {
  expect(await capture(["weights", "rm", "xception42"])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining(
      'error: argument NAME: there are no published weights of this name; received "xception42"; expected imagenet, timm/',
    ),
  });
  await capture(["summary", "hf://owner/repo", "--cache-dir", join(work, "other")]);
  const { stdout } = await capture(["weights", "rm", "hf://owner/repo", "--cache-dir", join(work, "other")]);
  const snapshot = join(work, "other/hub/models--owner--repo/snapshots", server.commit);
  expect(stdout).toBe(`removed ${snapshot}/model.safetensors\nremoved ${snapshot}/config.json\n`);
});

test("--refresh downloads again, --offline never", async () => {
  const model: LocalServer = await serve(new TextEncoder().encode("not a model"));
  for (const more of [[], [], ["--refresh"], ["--offline"]]) await capture(["summary", model.url, ...more]);
  expect(model.requests).toEqual(["whole", "whole"]);
  const commit = `hf://owner/repo@${server.commit}/model.safetensors`;
  for (const more of [[], [], ["--refresh"], ["--offline"]]) await capture(["summary", commit, ...more]);
  expect(server.storage).toHaveLength(2);
  model.close();
});
