import { cp, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Server } from "../../apps/server/server.ts";
import type { ClassifyResponse, RepositoryIndexEntry } from "../../src/client/protocol.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { smallModel } from "../model/small-model.ts";
import { noisePng } from "./noise-png.ts";
import { type Serving, testServer, validating } from "./serving.ts";

let folder: string;
let server: Server;
let ask: Serving["ask"];
let png: Buffer;
/** The same network with other classes, and so another answer. */
const [first, second] = [smallModel(), { ...smallModel(), labels: ["ant", "bee", "fly"] }].map((model) =>
  encodeModel(model),
);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-repository-"));
  png = Buffer.from(await noisePng(1));
  await mkdir(join(folder, "models", "pets", "2"), { recursive: true });
  await writeFile(join(folder, "models", "pets", "2", "model.onnx"), first!);
  await writeFile(join(folder, "models", "broken.onnx"), "not a model");
  await writeFile(join(folder, "models", "notes.txt"), "left alone");
  // The folder of this name comes first.
  await writeFile(join(folder, "models", "pets.h5"), "not a model");
  server = await testServer({
    source: join(folder, "models"),
    modelControl: true,
    settings: { repositoryPollSecs: 1 },
  });
  ask = await validating(server);
  await server.load();
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

const index = async () =>
  (await ask({ method: "POST", url: "/v2/repository/index", payload: {} })).json<RepositoryIndexEntry[]>();
const classify = (query = "?model=pets") => ask({ method: "POST", url: `/classify${query}`, payload: png });
const change = (name: string, what: string) => ask({ method: "POST", url: `/v2/repository/models/${name}/${what}` });

it("lists what is loaded and what is not, with the reason", async () => {
  expect(await index()).toEqual([
    { name: "broken", version: "", state: "UNAVAILABLE", reason: expect.stringContaining("broken.onnx") },
    { name: "pets", version: "2", state: "READY", reason: "" },
  ]);
  const ready = await ask({ method: "POST", url: "/v2/repository/index", payload: { ready: true } });
  expect(ready.json<RepositoryIndexEntry[]>().map(({ name }) => name)).toEqual(["pets"]);
  // As the protocol defines it: all models.
  expect((await ask({ url: "/v2/health/ready" })).status).toBe(503);
  const broken = await classify("?model=broken");
  expect([broken.status, broken.json().error]).toEqual([503, 'model "broken": it is not loaded. Try again later.']);
  const nameless = await classify("");
  expect(nameless.json().error).toBe("request: it does not name a model; expected ?model=NAME, one of broken, pets.");
});

it("unloads and loads models on request, and knows no others", async () => {
  expect((await change("pets", "unload")).status).toBe(200);
  expect((await classify()).status).toBe(503);
  expect((await ask({ url: "/v2/models/pets/ready" })).json()).toEqual({ name: "pets", ready: false });
  expect((await change("pets", "load")).status).toBe(200);
  expect((await classify()).status).toBe(200);
  for (const name of ["other", "..%2F..%2Fpets", "%2Fetc%2Fpasswd"]) {
    expect((await ask({ method: "POST", url: `/v2/repository/models/${name}/load` })).status).toBe(404);
  }
  expect((await change("broken", "load")).status).toBe(400);
  // What tritonclient sends.
  const sent = (what: string, parameters: object) =>
    ask({ method: "POST", url: `/v2/repository/models/pets/${what}`, payload: { parameters } });
  expect((await sent("unload", { unload_dependents: false })).status).toBe(200);
  expect((await ask({ url: "/v2/models/stats" })).json()).toEqual({ model_stats: [] });
  const replaced = await sent("load", { config: "{}", "file:1/model.onnx": "" });
  expect([replaced.status, replaced.json().error]).toEqual([
    400,
    "repository: a request cannot replace a model's configuration or files; " +
      'received ["config", "file:1/model.onnx"]. Change the files in the repository.',
  ]);
  expect((await sent("load", {})).status).toBe(200);
  expect((await ask({ url: "/v2/models/pets/ready" })).json()).toEqual({ name: "pets", ready: true });
});

it("takes a new version and a changed file into use under load, losing and mixing nothing", async () => {
  const file = join(folder, "second.onnx");
  await writeFile(file, second!);
  await using classifier = await loadClassifier(file, { platform: nodePlatform });
  const [pets, insects] = [["cat", "dog", "owl"], classifier.labels];
  const answers: ClassifyResponse[] = [];
  let isDone = false;
  const clients = Array.from({ length: 4 }, async () => {
    while (!isDone) {
      const { status, json } = await classify("?model=pets&top=3");
      expect(status).toBe(200);
      answers.push(json<ClassifyResponse>());
    }
  });
  // Copied beside it and renamed, so that it is never there by half.
  await mkdir(join(folder, "3"));
  await cp(file, join(folder, "3", "model.onnx"));
  await rename(join(folder, "3"), join(folder, "models", "pets", "3"));
  while (answers.at(-1)?.model_version !== "3") await new Promise((resolve) => setTimeout(resolve, 20));
  isDone = true;
  await Promise.all(clients);
  for (const { model_version, predictions } of answers) {
    const labels = predictions.map(({ label }) => label).sort();
    expect(labels).toEqual([...(model_version === "2" ? pets : insects)].sort());
  }
  expect(answers.some(({ model_version }) => model_version === "2")).toBe(true);
});

it("restarts a model's engine that has stopped, and answers 503 meanwhile", async () => {
  const threads: Worker[] = [];
  const collect = (thread: Worker) => threads.push(thread);
  process.on("worker", collect);
  await change("pets", "load");
  process.off("worker", collect);
  expect((await classify()).status).toBe(200);
  for (const thread of threads) await thread.terminate();
  const lost = await classify();
  expect([lost.status, lost.json().error]).toEqual([
    503,
    'model "pets": its engine stopped and is restarting. Try again.',
  ]);
  while ((await index()).find(({ name }) => name === "pets")?.state !== "READY") {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect((await classify()).status).toBe(200);
});

it("keeps a model in use whose file is gone, and says so until it is back", async () => {
  const until = async (reason: string) => {
    while ((await index()).find(({ name }) => name === "pets")?.reason !== reason) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await rm(join(folder, "models", "pets.h5"));
  const [own, elsewhere] = [join(folder, "models", "pets"), join(folder, "pets")];
  await rename(own, elsewhere);
  await until("its file is gone; the loaded one is still served");
  expect((await classify()).status).toBe(200);
  for (const endpoint of ["embed", "explain"]) {
    const { status, json } = await ask({ method: "POST", url: `/${endpoint}?model=pets`, payload: png });
    expect([status, json().error]).toEqual([
      503,
      'model "pets": its file can no longer be read, which embeddings and explanations need. Put it back.',
    ]);
  }
  await rename(elsewhere, own);
  await until("");
});
