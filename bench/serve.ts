/**
 * What do batching and HTTP cost or bring, and what does the server do with ten times the load it can take? Everything is
 * compared with the classifier alone and with a bare fastify around it, with a limit on its queue and nothing else, interleaved in
 * one process.
 * `npx tsx bench/serve.ts FOLDER [rounds] [overload seconds] [size] [width]`, by default 8 rounds, 30 s, 299×299, full width.
 */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
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
import { interleave, median, rounded, writeResult } from "./measurement.ts";

const [folder, ...numbers] = process.argv.slice(2);
const [rounds = 8, seconds = 30, size = 299, width = 1] = numbers.map(Number);
if (folder === undefined)
  throw new Error("usage: npx tsx bench/serve.ts FOLDER [rounds] [overload seconds] [size] [width]");
const listing = await platform.files.list(folder);
const photos = await Promise.all(
  listing.files
    .filter((file) => /\.jpe?g$/i.test(file))
    .slice(0, 48)
    .map(async (file) => new Uint8Array(await readFile(join(folder, file)))),
);

const place = await mkdtemp(join(tmpdir(), "xception-bench-"));
const file = join(place, "model.onnx");
const options = { inputShape: [size, size, 3], width, classes: 10 } as const;
const network = xception(options);
await writeFile(
  file,
  encodeModel({
    architecture: { family: "xception", options },
    weights: syntheticWeights(network),
    labels: Array.from({ length: 10 }, (_, index) => `class ${index}`),
    preprocessing: defaultPreprocessing,
  }),
);

const classifier = await loadClassifier(file, { platform });
const settings = serveSettings();
const serverWith = async (instanceCount: number) => {
  const server = await createServer({
    source: file,
    platform,
    settings: { ...settings, instanceCount },
    version: "bench",
  });
  await server.load();
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  return { server, url, client: createClient(url) };
};
const cores = availableParallelism();
const one = await serverWith(1);
const onePerCore = await serverWith(cores);
const most = settings.maxQueueSize + settings.maxBatchSize;
let pending = 0;
const bare = fastify({ bodyLimit: settings.maxBodyBytes });
bare.addContentTypeParser("*", { parseAs: "buffer" }, (_, body, done) => done(null, body));
bare.post("/classify", async ({ body }, reply) => {
  if (pending >= most) return reply.code(429).send();
  pending++;
  return classifier.classify(new Uint8Array(body as Buffer)).finally(() => pending--);
});
const bareUrl = await bare.listen({ host: "127.0.0.1", port: 0 });
const bareClient = createClient(bareUrl);

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
// One client that asks again as soon as it is answered.
const burst = 4;
let bursts = 0;
const oneByOne = (classify: (photo: (typeof photos)[number]) => Promise<unknown>) => async () => {
  const start = burst * Math.floor(bursts++ / 4);
  for (let index = start; index < start + burst; index++) await classify(photos[index % photos.length]!);
};
const single = await interleave(
  {
    alone: oneByOne((photo) => classifier.classify(photo)),
    bare: oneByOne((photo) => bareClient.classify(photo)),
    one: oneByOne((photo) => one.client.classify(photo)),
    onePerCore: oneByOne((photo) => onePerCore.client.classify(photo)),
  },
  8 * rounds,
  2,
);
const addedMs = (server: "bare" | "one") =>
  rounded(median(single[server]!.map((time, round) => (time - single.alone![round]!) / burst)), 2);

/** Images per second that the classifier alone can take. */
const capacity = photos.length / (median(throughput.alone!) / 1000);

/**
 * Clients that fill the queue, and others that ask once a second and are refused: together ten times as many requests per second
 * as the classifier alone can take.
 */
async function overload(name: string, target: string) {
  const before = process.memoryUsage.rss();
  const load = autocannon({
    url: `${target}/classify`,
    method: "POST",
    body: Buffer.from(photos[0]!),
    headers: { "content-type": "image/jpeg" },
    connections: most + Math.round(10 * capacity),
    connectionRate: 1,
    duration: seconds,
    timeout: 120,
  });
  const { statusCodeStats = {}, latency, errors, duration } = await load;
  const counts = Object.fromEntries(Object.entries(statusCodeStats).map(([code, { count }]) => [code, count ?? 0]));
  const good = counts["200"] ?? 0;
  return {
    server: name,
    "answers 200": good,
    "429 and 503": (counts["429"] ?? 0) + (counts["503"] ?? 0),
    others: errors + Object.entries(counts).reduce((sum, [code, n]) => sum + (/^(200|429|503)$/.test(code) ? 0 : n), 0),
    "200 per second ÷ classifier alone": rounded(good / duration / capacity, 2),
    "latency 99 %, ms": Math.round(latency.p99),
    "memory after ÷ before": rounded(process.memoryUsage.rss() / before, 2),
  };
}

const loaded =
  seconds > 0
    ? [
        await overload("xception serve", one.url),
        await overload(`xception serve --instance-count ${cores}`, onePerCore.url),
        await overload("bare fastify", bareUrl),
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
  "latency of one client, server − classifier alone, ms": addedMs("one"),
  "latency of one client, bare fastify − classifier alone, ms": addedMs("bare"),
  "with an instance for each core": {
    "throughput ÷ classifier alone": throughputOf("onePerCore"),
    "latency of one client ÷ classifier alone": rounded(
      median(single.onePerCore!.map((time, round) => time / single.alone![round]!)),
      2,
    ),
  },
  overload: loaded,
});
console.table(loaded);
await Promise.all([one.server.close(), onePerCore.server.close(), bare.close(), classifier.dispose()]);
await rm(place, { recursive: true });
