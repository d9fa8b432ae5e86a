/**
 * How fast is our WebAssembly engine against onnxruntime-web's? Xception at 299×299, batch 1, in Node, interleaved; by the
 * time that passes, and by that of the CPU, which other programs on the machine disturb less.
 * `npx tsx bench/wasm-engine.ts [rounds] [size]`; on one thread, as onnxruntime-web starts no others in Node
 */
import { setFlagsFromString } from "node:v8";
import { compile } from "../src/compiler/compile.ts";
import { syntheticImages } from "../src/graph/synthetic.ts";
import { initializeWeights, xception } from "../src/index.ts";
import { startThread } from "../src/runtime/node/wasm-threads.ts";
import { createProgramSession } from "../src/runtime/wasm/session.ts";
import { createWebSession } from "../src/runtime/web/session.ts";
import { interleave, median, rounded, writeResult } from "./measurement.ts";

// Node 20 has relaxed SIMD behind this flag.
setFlagsFromString("--experimental-wasm-relaxed-simd");

const [rounds = 10, size = 299] = process.argv.slice(2).map(Number);
const network = xception({ inputShape: [size, size, 3] });
const weights = initializeWeights(network);
const program = compile(network, weights, { form: "program" });
const images = syntheticImages(1, [size, size, 3]);
const sessions = {
  "ours, relaxed SIMD": await createProgramSession(program, { threads: 1, startThread, build: "relaxed" }),
  "ours, plain SIMD": await createProgramSession(program, { threads: 1, startThread, build: "plain" }),
  "onnxruntime-web": await createWebSession(compile(network, weights, { form: "inference" })),
};

const cpu: Record<string, number[]> = {};
const alternatives = Object.fromEntries(
  Object.entries(sessions).map(([name, session]) => [
    name,
    async () => {
      const start = process.cpuUsage();
      await session.run({ images });
      const { user, system } = process.cpuUsage(start);
      cpu[name] = [...(cpu[name] ?? []), (user + system) / 1000];
    },
  ]),
);
const times = await interleave(alternatives, rounds);
const theirs = median(times["onnxruntime-web"]!);
const theirCpu = Math.min(...cpu["onnxruntime-web"]!);
writeResult("wasm-engine", {
  question: "How fast is our WebAssembly engine against onnxruntime-web's, in Node?",
  size,
  rows: Object.entries(times).map(([engine, each]) => ({
    engine,
    ms: rounded(median(each), 0),
    share: rounded(median(each) / theirs, 2),
    "CPU, least ms": rounded(Math.min(...cpu[engine]!), 0),
    "share of CPU": rounded(Math.min(...cpu[engine]!) / theirCpu, 2),
  })),
});
process.exit(0);
