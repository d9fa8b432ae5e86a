/**
 * What do batching and HTTP cost or bring, and what does the server do with ten times the load it can take? Everything is
 * compared with the classifier alone and with a bare fastify around it, with a limit on its queue and nothing else, interleaved in
 * one process.
 * `npx tsx bench/serve.ts FOLDER [rounds] [overload seconds] [size] [width]`, by default 8 rounds, 30 s, 299×299, full width.
 */

import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, type IncomingMessage, request } from "node:http";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import autocannon from "autocannon";
import fastify from "fastify";
import { createServer } from "../apps/server/server.ts";
import { serveSettings } from "../apps/server/settings.ts";
import { createClient } from "../src/client/client.ts";
import { syntheticWeights } from "../src/graph/synthetic.ts";
import { xception } from "../src/index.ts";
import { defaultPreprocessing } from "../src/model/model.ts";
import { encodeModel } from "../src/model/model-writer.ts";
import { nodePlatform as platform } from "../src/runtime/node/platform.ts";
import { loadClassifier } from "../src/tasks/evaluate/classifier.ts";
import { interleave, median, rounded, timeMs, writeResult } from "./measurement.ts";

const [folder, ...numbers] = process.argv.slice(2);
const [rounds = 8, seconds = 30, size = 299, width = 1] = numbers.map(Number);
if (folder === undefined)
  throw new Error("usage: npx tsx bench/serve.ts FOLDER [rounds] [overload seconds] [size] [width]");
const listing = await platform.files.list(folder);
type Photo = Uint8Array<ArrayBuffer>;
const photos: readonly Photo[] = await Promise.all(
  listing.files
    .filter((file) => /\.jpe?g$/i.test(file))
    .slice(0, 48)
    .map(async (file) => new Uint8Array(await readFile(join(folder, file)))),
);

const place = await mkdtemp(join(tmpdir(), "xception-bench-"));
const settings = serveSettings();
const most = settings.maxQueueSize + settings.maxBatchSize;

/** A network of some width by itself, in a server, and in a fastify that has nothing but a limit on its queue. */
async function setUp(width: number) {
  const options = { inputShape: [size, size, 3], width, classes: 10 } as const;
  const model = encodeModel({
    architecture: { family: "xception", options },
    weights: syntheticWeights(xception(options)),
    labels: Array.from({ length: 10 }, (_, index) => `class ${index}`),
    preprocessing: defaultPreprocessing,
  });
  const source = join(place, `${width}.onnx`);
  await writeFile(source, model);
  const classifier = await loadClassifier(source, { platform });
  const serve = async (instanceCount: number) => {
    const served = { ...settings, instanceCount };
    const server = await createServer({ source, platform, settings: served, version: "bench" });
    await server.load();
    const url = await server.listen({ host: "127.0.0.1", port: 0 });
    return { server, url, client: createClient(url) };
  };
  let pending = 0;
  const bare = fastify({ bodyLimit: settings.maxBodyBytes });
  bare.addContentTypeParser("*", { parseAs: "buffer" }, (_, body, done) => done(null, body));
  bare.post("/classify", async ({ body }, reply) => {
    if (pending >= most) return reply.code(429).send();
    pending++;
    return classifier.classify(new Uint8Array(body as Buffer)).finally(() => pending--);
  });
  const bareUrl = await bare.listen({ host: "127.0.0.1", port: 0 });
  // Nothing drops the work of clients that are gone.
  const bareIdle = async () => {
    while (pending > 0) await pause(100);
  };
  const close = () => Promise.all([bare.close(), classifier.dispose()]);
  return { classifier, serve, bareUrl, bareIdle, close };
}

const { classifier, serve, bareUrl, bareIdle, close } = await setUp(width);
const cores = availableParallelism();
const one = await serve(1);
const onePerCore = await serve(cores);

// Batches of one size.
const prepared = await Promise.all(photos.slice(0, 8).map((photo) => classifier.prepare(photo)));
const batches = [1, 2, 4, 8].filter((batch) => batch <= prepared.length);
const eight = async (batch: number) => {
  for (let start = 0; start < 8; start += batch) await classifier.probabilities(prepared.slice(start, start + batch));
};
const engine = await interleave(
  Object.fromEntries(batches.map((batch) => [`batch ${batch}`, () => eight(batch)])),
  rounds,
  1,
);

// The same images through the server and without it.
const ask = async ({ client }: typeof one) => {
  const left = [...photos];
  const answered = async () => {
    for (let photo = left.pop(); photo; photo = left.pop()) await client.classify(photo);
  };
  await Promise.all(Array.from({ length: 16 }, answered));
};
const alone = async () => {
  for await (const result of classifier.classifyAll(photos)) if ("error" in result) throw result.error;
};
const throughput = await interleave({ alone, one: () => ask(one), onePerCore: () => ask(onePerCore) }, rounds, 1);
const agent = new Agent({ keepAlive: true });
const send = (url: string) => async (photo: Uint8Array) => {
  const sent = request(`${url}/classify`, { agent, method: "POST", headers: { "content-length": photo.length } });
  const [answer] = (await once(sent.end(photo), "response")) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`);
  return json(answer);
};

/** The times of one client that sends the next photo as soon as it is answered; each photo goes to all servers in turn. */
async function oneClient<Way extends string>(ways: Readonly<Record<Way, (photo: Photo) => Promise<unknown>>>) {
  const entries = Object.entries(ways) as [Way, (photo: Photo) => Promise<unknown>][];
  const times = Object.fromEntries(entries.map(([way]) => [way, [] as number[]])) as Record<Way, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (const photo of photos) {
      for (const [way, classify] of entries) {
        const elapsedMs = await timeMs(() => classify(photo));
        if (round >= 0) times[way].push(elapsedMs);
      }
    }
  }
  return times;
}
const single = await oneClient({
  alone: (photo) => classifier.classify(photo),
  onePerCore: send(onePerCore.url),
});
// What a server adds does not depend on the network, whose time varies more than that: so a narrow one.
const narrow = await setUp(0.1);
const narrowServer = await narrow.serve(1);
const latency = await oneClient({
  alone: (photo) => narrow.classifier.classify(photo),
  bare: send(narrow.bareUrl),
  server: send(narrowServer.url),
  fetch: (photo) => narrowServer.client.classify(photo),
});
const addedMs = (way: keyof typeof latency) =>
  rounded(median(latency[way].map((time, at) => time - latency.alone[at]!)), 2);
await Promise.all([narrowServer.server.close(), narrow.close()]);

/** Images per second that the classifier alone can take. */
const capacity = async () => photos.length / ((await timeMs(alone)) / 1000);

/**
 * Clients that fill the queue, and others that ask once a second and are refused: together ten times as many requests per second
 * as the classifier alone can take.
 */
async function overload(name: string, target: string, idle = async () => {}) {
  const memory = process.memoryUsage.rss();
  const capacityBefore = await capacity();
  const load = autocannon({
    url: `${target}/classify`,
    method: "POST",
    body: Buffer.from(photos[0]!),
    headers: { "content-type": "image/jpeg" },
    connections: most + Math.round(10 * capacityBefore),
    connectionRate: 1,
    duration: seconds,
    timeout: 120,
  });
  const { statusCodeStats = {}, latency, errors, duration } = await load;
  await idle();
  // The machine's speed changes from minute to minute.
  const meanCapacity = (capacityBefore + (await capacity())) / 2;
  const counts = Object.fromEntries(Object.entries(statusCodeStats).map(([code, { count }]) => [code, count ?? 0]));
  const good = counts["200"] ?? 0;
  return {
    server: name,
    "answers 200": good,
    "429 and 503": (counts["429"] ?? 0) + (counts["503"] ?? 0),
    others: errors + Object.entries(counts).reduce((sum, [code, n]) => sum + (/^(200|429|503)$/.test(code) ? 0 : n), 0),
    "200 per second ÷ classifier alone": rounded(good / duration / meanCapacity, 2),
    "latency 99 %, ms": Math.round(latency.p99),
    "memory after ÷ before": rounded(process.memoryUsage.rss() / memory, 2),
  };
}

const loaded =
  seconds > 0
    ? [
        await overload("xception serve", one.url),
        await overload(`xception serve --instance-count ${cores}`, onePerCore.url),
        await overload("bare fastify", bareUrl, bareIdle),
      ]
    : [];
const batchOne = median(engine["batch 1"]!);
const ratio = (times: readonly number[]) => rounded(median(times) / batchOne, 3);
const throughputOf = (server: "one" | "onePerCore") =>
  rounded(median(throughput.alone!.map((time, round) => time / throughput[server]![round]!)), 3);
writeResult("serve", {
  question: "What do batching and HTTP cost or bring, and what does the server do with ten times the load it can take?",
  network: `Xception ${size}×${size}, width ${width}`,
  rounds,
  rows: batches.map((batch) => ({
    "batch size": batch,
    "time per image ÷ batch 1": ratio(engine[`batch ${batch}`]!),
  })),
  "throughput, server ÷ classifier alone": throughputOf("one"),
  "latency of one client, server − classifier alone, ms": addedMs("server"),
  "latency of one client that uses fetch, server − classifier alone, ms": addedMs("fetch"),
  "latency of one client, bare fastify − classifier alone, ms": addedMs("bare"),
  "with an instance for each core": {
    "throughput ÷ classifier alone": throughputOf("onePerCore"),
    "latency of one client ÷ classifier alone": rounded(
      median(single.onePerCore.map((time, at) => time / single.alone[at]!)),
      2,
    ),
  },
  overload: loaded,
});
console.table(loaded);
await Promise.all([one.server.close(), onePerCore.server.close(), close()]);
await rm(place, { recursive: true });
