/**
 * Classifies, loads and frees models many times with hostile files in between, and watches the memory.
 * `npm run soak -- [--calls 200000] [--loads 2000] [--hostile 10000]`
 */
import { parseArgs } from "node:util";
import { soak } from "./soaking.ts";

const { values } = parseArgs({
  options: {
    calls: { type: "string", default: "200000" },
    loads: { type: "string", default: "2000" },
    hostile: { type: "string", default: "10000" },
  },
});
const [calls, loads, hostile] = [Number(values.calls), Number(values.loads), Number(values.hostile)];

const { rejected, answers, memoryMib } = await soak({ calls, loads, hostile, onRound: console.log });
// The first quarter fills caches and pools.
const settled = memoryMib.slice(Math.ceil(memoryMib.length / 4));
const half = settled.length / 2;
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const growth = mean(settled.slice(half)) / mean(settled.slice(0, half)) - 1;
console.log(`${answers} correct answers, ${rejected} hostile files rejected, memory ${(100 * growth).toFixed(1)} %`);
process.exitCode = answers === calls + loads && rejected === hostile && Math.abs(growth) <= 0.05 ? 0 : 1;
