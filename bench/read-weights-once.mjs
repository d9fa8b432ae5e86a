/**
 * Reads one file of weights in this process and prints what it took, for `read-weights.ts`; of the built package, which is
 * what users run. Plain JavaScript, so that nothing else is loaded.
 * `node bench/read-weights-once.mjs FILE NETWORK time|memory PART…`: the parts are all files that belong to it, itself too.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

const [file = "", architecture = "", question, ...parts] = process.argv.slice(2);
/** @param {string} path */
const built = (path) => import(new URL(`../dist/src/${path}.js`, import.meta.url).href);
const { nodePlatform } = await built("runtime/node/platform");
const { loadWeights } = await built("model/open-weights");
const { architectureNamed, buildNetwork } = await built("models/registry");

const network = buildNetwork(architectureNamed(architecture, {}));
const load = () => loadWeights(network, file, nodePlatform);

/** @param {() => Promise<unknown>} run */
const timeMs = async (run) => {
  const start = performance.now();
  await run();
  return performance.now() - start;
};

/** What any reader has to do at least. */
async function readAndCopy() {
  for (const part of parts) new Uint8Array(await readFile(part)).slice();
}

/** Linux counts the parent's memory in `resourceUsage().maxRSS` of a child. */
function peakBytes() {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  return 1024 * Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

if (question === "memory") {
  const before = process.memoryUsage.rss();
  const { weights } = await load();
  const peak = peakBytes();
  console.log(JSON.stringify({ idle: before, peak, tensors: weights.size }));
} else {
  const firstMs = await timeMs(load);
  const rounds = [];
  for (let round = 0; round < 3; round++) {
    rounds.push({ bytesMs: await timeMs(readAndCopy), loadMs: await timeMs(load) });
  }
  console.log(JSON.stringify({ firstMs, rounds }));
}
