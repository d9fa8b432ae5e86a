/**
 * What `npm test` tries in small, for longer: `npm run serve-faults -- [uploads] [bodies] [swap seconds] [requests]`, by
 * default 1,000 uploads killed half-way, 10,000 random requests, a minute of one swap a second under load, and 200,000
 * requests with flat memory.
 */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createServer } from "../../apps/server/server.ts";
import { serveSettings } from "../../apps/server/settings.ts";
import { createClient } from "../../src/client/client.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { smallModel } from "../model/small-model.ts";
import { fuzzServer } from "./fuzz.ts";
import { noisePng } from "./noise-png.ts";

const numbers = process.argv.slice(2).map(Number);
const [uploads = 1000, bodies = 10_000, swapSeconds = 60, requests = 200_000] = numbers;
const folder = await mkdtemp(join(tmpdir(), "xception-faults-"));
const file = join(folder, "small.onnx");
const models = [
  ["cat", "dog", "owl"],
  ["ant", "bee", "fly"],
].map((labels) => encodeModel({ ...smallModel(), labels }));
await writeFile(file, models[0]!);
const settings = serveSettings({ repositoryPollSecs: 0, maxQueueSize: 1000 });
const server = await createServer({ source: file, platform, settings, modelControl: true, version: "faults" });
await server.load();
const url = await server.listen({ host: "127.0.0.1", port: 0 });
const client = createClient(url);
const png = new Uint8Array(await noisePng(1));
const fail = (message: string): never => {
  throw new Error(message);
};

for (let upload = 0; upload < uploads; upload++) {
  await new Promise<void>((resolve) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1", () => {
      socket.write(`POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: ${png.length}\r\n\r\n`);
      socket.write(png.subarray(0, png.length / 2), () => socket.destroy());
    });
    socket.on("close", () => resolve());
  });
}
if ((await client.classify(png)).predictions.length !== 3) fail("no answer after killed uploads");
console.log(`${uploads} uploads killed half-way: the server answers.`);

await fuzzServer(server, png, { numRuns: bodies, interruptAfterTimeLimit: 3_600_000 });
console.log(`${bodies} random requests: none unanswered, none answered with an unexpected error.`);

let answers = 0;
let swaps = 0;
const end = performance.now() + 1000 * swapSeconds;
const load = Array.from({ length: 8 }, async () => {
  while (performance.now() < end) {
    const { predictions } = await client.classify(png);
    const labels = predictions
      .map(({ label }) => label)
      .sort()
      .join();
    if (labels !== "cat,dog,owl" && labels !== "ant,bee,fly") fail(`mixed: ${labels}`);
    answers++;
  }
});
const swapping = (async () => {
  while (performance.now() < end) {
    const second = pause(1000);
    await writeFile(`${file}.new`, models[++swaps % 2]!);
    await rename(`${file}.new`, file);
    await fetch(`${url}/v2/repository/models/small/load`, { method: "POST" });
    await second;
  }
})();
await Promise.all([...load, swapping]);
console.log(`${swaps} swaps under load: ${answers} requests, 0 lost, 0 mixed.`);

let [first, highest] = [0, 0];
for (let done = 0; done < requests; done += 1000) {
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let each = 0; each < 125; each++) await client.classify(png);
    }),
  );
  const memory = process.memoryUsage.rss();
  // The first tenth fills caches.
  if (done < requests / 10) first = Math.max(first, memory);
  else highest = Math.max(highest, memory);
}
const growth = highest === 0 ? 1 : highest / first;
console.log(`${requests} requests: memory ${growth.toFixed(2)} of that after the first tenth.`);
if (growth > 1.1) fail("memory grows");
await server.close();
await rm(folder, { recursive: true });
